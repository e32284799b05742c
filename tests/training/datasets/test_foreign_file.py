"""Files that are named in place of a folder of images are told by their kind, with what to do."""

import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from own_images import encoded, flower

from training import images
from training.datasets.folder_layout import find_layout
from training.datasets.formats import DataError


def zipped() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("rose/1.png", b"1")
    return content.getvalue()


def tarred() -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("rose/1.png"))
    return content.getvalue()


def png() -> bytes:
    return encoded(flower(0, 0), "png")


def text() -> bytes:
    return b"water on Mondays"


@pytest.mark.parametrize(
    ("name", "content", "advice"),
    [
        ("flowers.zip", zipped, "an archive: unpack it, and name the folder"),
        ("flowers", zipped, "an archive: unpack it, and name the folder"),
        ("flowers.csv", tarred, "an archive: unpack it, and name the folder"),
        ("flowers.tar.gz", text, "an archive: unpack it, and name the folder"),
        ("labels.xlsx", zipped, "a document: save its table as a CSV in UTF-8"),
        ("rose.PNG", png, "one image: name the folder that has a folder of images for each label"),
        ("rose", png, "one image: name the folder that has a folder of images for each label"),
        ("roses.pdf", text, "a PDF: save its pictures"),
        ("model.onnx", text, "a model: name the images here"),
        ("weights.pt", zipped, "a model: name the images here"),
        ("garden.mp4", text, "a video: save pictures of it"),
    ],
)
def test_a_file_that_is_no_table_is_refused_as_what_it_is(tmp_path, name, content: Callable[[], bytes], advice):
    (tmp_path / name).write_bytes(content())

    with pytest.raises(DataError, match=f"^{tmp_path / name}: {advice}"):
        find_layout(tmp_path / name)


def test_a_device_is_refused_without_being_read(capsys):
    assert images.main(["/dev/zero"]) == 1
    assert (
        capsys.readouterr().err == "training.images: /dev/zero: neither a folder nor a file: name a folder of images\n"
    )


def test_a_table_may_have_any_other_name(tmp_path: Path):
    (tmp_path / "labels.txt").write_text("file,label\n1.png,rose\n2.png,tulip\n")

    assert find_layout(tmp_path / "labels.txt").labels == ("rose", "tulip")
