"""Own images in a folder: how they are listed, split and read."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from own_images import LABELS, fill, flower
from PIL import Image

from training import export
from training.datasets.formats import DataError
from training.datasets.image_file import read_image
from training.datasets.image_folder import ImageFolder
from training.datasets.labelled import LabelledImages, TrainTest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small folder of grey images."""
    return fill(tmp_path / "flowers")


def load(folder: Path) -> TrainTest:
    return ImageFolder.open(folder, "flowers").load()


def contents(images: LabelledImages) -> set[tuple[bytes, int]]:
    return {(pixels.numpy().tobytes(), int(label)) for pixels, label in zip(images.pixels, images.labels, strict=True)}


class TestInput:
    @pytest.mark.parametrize(
        ("sides", "channels", "side"),
        [((8,), 1, 28), ((28,), 1, 28), ((31,), 3, 28), ((32,), 1, 32), ((28, 40, 32), 3, 32), ((63, 64, 65), 3, 64)],
    )
    def test_the_input_is_the_largest_that_half_of_the_images_fill(self, tmp_path, sides, channels, side):
        folder = ImageFolder.open(fill(tmp_path, sides=sides, channels=channels), "flowers")

        assert (folder.side, folder.channels) == (side, channels)
        assert folder.load().test.pixels.shape[1:] == (side, side, channels)

    @pytest.mark.parametrize("side", [28, 96])
    def test_a_side_that_was_asked_for_is_taken(self, folder, side):
        opened = ImageFolder.open(folder, "flowers", side=side)

        assert opened.load().test.pixels.shape[1:3] == (side, side)

    def test_the_shortest_side_is_what_counts(self, folder):
        for file in folder.rglob("*.png"):
            Image.open(file).resize((300, 32)).save(file)

        assert ImageFolder.open(folder, "flowers").side == 32

    def test_grey_images_in_colour_files_are_grey(self, folder):
        for file in folder.rglob("*.png"):
            Image.open(file).convert("RGB").save(file)

        assert ImageFolder.open(folder, "flowers").channels == 1

    @pytest.mark.parametrize(("coloured", "channels"), [(2, 1), (3, 3)])
    def test_a_few_colour_images_among_48_do_not_make_the_input_a_colour_one(self, folder, coloured, channels):
        for number in range(coloured):
            flower(0, number, channels=3).save(folder / "daisy" / f"{number}.png")

        assert ImageFolder.open(folder, "flowers").channels == channels

    def test_a_sample_decides(self, folder):
        sampled = ImageFolder.open(folder, "flowers").files[-1].path

        flower(0, 0, side=64, channels=3).save(sampled)

        opened = ImageFolder.open(folder, "flowers", sample_size=1)
        assert (opened.side, opened.channels) == (64, 3)

    def test_the_test_images_do_not_decide_the_input(self, folder):
        opened = ImageFolder.open(folder, "flowers")
        test = contents(opened.load().test)
        listed = [(LABELS.index(label), path) for (label,), path, _ in opened.files]
        files = [(label, path) for label, path in listed if (np.asarray(Image.open(path)).tobytes(), label) in test]
        assert len(files) == 8

        for label, file in files:
            flower(label, 0, side=64, channels=3).save(file)

        assert (ImageFolder.open(folder, "flowers").side, ImageFolder.open(folder, "flowers").channels) == (28, 1)


class TestSplit:
    def test_a_fifth_of_each_labels_images_are_test_images(self, folder):
        data = load(folder)

        assert torch.bincount(data.test.labels).tolist() == [2] * 4
        assert torch.bincount(data.train.labels).tolist() == [10] * 4
        assert not contents(data.train) & contents(data.test)

    def test_copies_are_left_out_and_listed(self, folder):
        whole = load(folder)
        for number in range(12):
            shutil.copy(folder / "rose" / f"{number}.png", folder / "rose" / f"{number} (1).png")

        data = load(folder)

        assert contents(data.train) | contents(data.test) == contents(whole.train) | contents(whole.test)
        assert not contents(data.train) & contents(data.test)
        assert len(data.skipped) == 12
        assert ": a copy of " in data.skipped[0]

    def test_it_is_the_same_wherever_the_folder_lies(self, folder, tmp_path):
        before = load(folder)

        after = load(folder.rename(tmp_path / "moved"))

        assert (after.train.sha256(), after.test.sha256()) == (before.train.sha256(), before.test.sha256())

    def test_a_new_image_moves_few_of_the_others(self, tmp_path):
        folder = fill(tmp_path / "flowers", each=40)
        before = load(folder)
        flower(0, 99).save(folder / "daisy" / "new.png")

        after = load(folder)

        assert len(contents(before.test) - contents(after.test)) <= 1

    def test_labels_are_mixed_and_a_limit_takes_the_first_of_each_part(self, folder):
        opened = ImageFolder.open(folder, "flowers")
        whole = opened.load()

        limited = opened.load(limit=5)

        assert len(whole.train.labels[:10].unique()) > 1
        assert (len(limited.train), len(limited.test), limited.limit) == (5, 5, 5)
        assert torch.equal(limited.train.pixels, whole.train.pixels[:5])
        assert torch.equal(limited.test.pixels, whole.test.pixels[:5])

    def test_with_a_limit_the_other_images_are_not_even_read(self, folder, capsys):
        opened = ImageFolder.open(folder, "flowers")
        listed = opened.load().files
        for file in {*folder.rglob("*.png")} - {one.path for split in listed.values() for one in split[:5]}:
            file.unlink()
        assert capsys.readouterr().err.splitlines() == [
            "Looking at 40 images for their size and colours",
            "Reading 48 images",
        ]

        limited = opened.load(limit=5)

        assert capsys.readouterr().err == "Reading 10 images\n"
        assert (len(limited.train), len(limited.test), limited.skipped) == (5, 5, ())

    @pytest.mark.parametrize(("split", "purpose"), [("train", "training images"), ("test", "test images")])
    def test_a_limit_that_leaves_no_image_that_can_be_read_is_refused(self, folder, split, purpose):
        opened = ImageFolder.open(folder, "flowers")
        for file in opened.load().files[split][:2]:
            file.path.write_bytes(b"no")

        with pytest.raises(DataError, match=f"none of the {purpose} has a label to be [a-z]+: raise --limit"):
            opened.load(limit=2)

    def test_images_in_folders_below_a_label_have_that_label(self, folder):
        (folder / "rose" / "2019" / "may").mkdir(parents=True)
        flower(1, 99).save(folder / "rose" / "2019" / "may" / "1.png")

        assert len(ImageFolder.open(folder, "flowers").files) == 49


class TestLeftOut:
    @pytest.mark.parametrize(
        ("name", "content", "reason"),
        [
            ("notes.txt", b"water on Mondays", "The 16 bytes are not a complete image"),
            ("empty.png", b"", "The image is empty"),
            ("bomb.ppm", b"P6 100000 100000 255\n", "The image has 100,000 x 100,000 pixels"),
        ],
    )
    def test_a_file_that_the_service_refuses_is_left_out_and_listed(self, folder, name, content, reason):
        (folder / "rose" / name).write_bytes(content)

        data = load(folder)

        (left_out,) = data.skipped
        assert left_out.startswith(f"{folder}/rose/{name}: {reason}")
        assert len(data.train) + len(data.test) == 48

    def test_a_file_that_is_too_large_to_upload_is_left_out_unread(self, folder):
        with (folder / "rose" / "film.avi").open("wb") as film:
            film.truncate(2**40)

        (left_out,) = load(folder).skipped

        assert "film.avi: The file has 1,099,511,627,776 bytes; at most 33,554,432 are read" in left_out

    def test_a_file_that_was_removed_meanwhile_is_left_out(self, folder):
        opened = ImageFolder.open(folder, "flowers")
        (folder / "rose" / "1.png").unlink()

        (left_out,) = opened.load().skipped

        assert left_out == f"{folder}/rose/1.png: No such file or directory"

    def test_a_pipe_that_a_table_names_is_left_out_and_not_waited_for(self, folder):
        os.mkfifo(folder / "pipe.png")
        rows = [f"{file.relative_to(folder)},{file.parent.name}" for file in sorted(folder.rglob("*/*.png"))]
        (folder / "labels.csv").write_text("\n".join(("file,label", "pipe.png,rose", "/dev/zero,rose", *rows)))

        skipped = load(folder).skipped

        reason = "not a file; name an image's file"
        assert sorted(skipped) == [f"/dev/zero: {reason}", f"{folder}/pipe.png: {reason}"]

    def test_a_damaged_scan_does_not_fill_the_terminal(self, folder, capfd):
        scan = folder / "rose" / "scan.tif"
        noise = Image.fromarray(np.random.default_rng(1).integers(0, 2, (64, 64), np.uint8) * 255).convert("1")
        noise.save(scan, compression="group3")
        with Image.open(scan) as image:
            place, size = image.tag_v2[273][0], image.tag_v2[279][0]
        content = scan.read_bytes()
        scan.write_bytes(content[:place] + np.random.default_rng(1).bytes(size) + content[place + size :])

        read_image(scan.read_bytes(), scan, 32)

        os.write(2, b"what the command says")
        assert capfd.readouterr().err == "what the command says"

    def test_hidden_files_and_folders_are_ignored(self, folder):
        (folder / ".cache").mkdir()
        (folder / "rose" / ".DS_Store").write_bytes(b"1")
        (folder / "rose" / ".thumbnails").mkdir()
        (folder / "rose" / ".thumbnails" / "1.png").write_bytes(b"1")

        opened = ImageFolder.open(folder, "flowers")

        assert opened.labels == LABELS
        assert opened.load().skipped == ()

    def test_links_are_followed_to_files_and_labels_but_not_in_circles(self, folder, tmp_path):
        (folder / "rose").rename(tmp_path / "elsewhere")
        (folder / "rose").symlink_to(tmp_path / "elsewhere")
        (folder / "tulip" / "again").symlink_to(folder / "tulip")
        (folder / "tulip" / "gone.png").symlink_to(tmp_path / "gone.png")
        (folder / "tulip" / "99.png").symlink_to(tmp_path / "elsewhere" / "1.png")

        assert len(ImageFolder.open(folder, "flowers").files) == 49

    def test_an_unprintable_name_is_escaped(self, folder):
        (folder / "rose" / "\x1b[2J.png").write_bytes(b"1")
        Path(os.fsdecode(os.fsencode(folder / "rose") + b"/\xff.png")).write_bytes(b"1")

        skipped = "".join(load(folder).skipped)

        assert "\\x1b[2J.png" in skipped
        assert "\\udcff.png" in skipped


def without_folder(folder: Path) -> None:
    shutil.rmtree(folder)


def without_labels(folder: Path) -> None:
    for label in LABELS:
        shutil.rmtree(folder / label)


def with_one_label(folder: Path) -> None:
    for label in LABELS[1:]:
        shutil.rmtree(folder / label)


def with_a_colon(folder: Path) -> None:
    (folder / "rose").rename(folder / "rose: red")


def with_a_line_break(folder: Path) -> None:
    (folder / "rose").rename(folder / "rose\nred")


def with_a_name_in_no_encoding(folder: Path) -> None:
    (folder / "rose").rename(os.fsdecode(os.fsencode(folder) + b"/ros\xe9"))


def with_blanks(folder: Path) -> None:
    (folder / "rose").rename(folder / "  ")


def with_a_thousand_labels(folder: Path) -> None:
    for number in range(1_000):
        (folder / f"{number:03}").mkdir()
        (folder / f"{number:03}/1.png").write_bytes(b"1")


def with_few_roses(folder: Path) -> None:
    for number in range(3):
        (folder / "rose" / f"{number}.png").unlink()


def with_damaged_roses(folder: Path) -> None:
    for number in range(3):
        (folder / "rose" / f"{number}.png").write_bytes(b"1")


def with_nothing_readable(folder: Path) -> None:
    for file in folder.rglob("*.png"):
        file.write_bytes(b"1")


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (without_folder, "no such folder; make a folder of images for each label in it"),
        (without_labels, "0 folders in it, at least 2 are needed; make a folder of images for each label in it"),
        (with_one_label, "1 folders in it, at least 2 are needed"),
        (with_a_colon, "the name 'rose: red' cannot be a label; rename it, in at most 200 characters, without colons"),
        (with_a_line_break, r"the name 'rose\nred' cannot be a label"),
        (with_a_name_in_no_encoding, r"the name 'ros\udce9' cannot be a label"),
        (with_blanks, "the name '  ' cannot be a label"),
        (with_a_thousand_labels, "1 of '008', 1 of '009' and 990 more; each label needs at least 10: add some"),
        (with_few_roses, "too few images: 9 of 'rose'; each label needs at least 10: add some"),
        (with_damaged_roses, "too few images: 9 of 'rose', not counting what was left out, such as "),
        (with_nothing_readable, "none of 40 sampled images can be read; the first: "),
    ],
)
def test_a_folder_that_nothing_can_be_learned_from_is_refused(folder, tmp_path, capsys, spoil, reason):
    spoil(folder)

    status = export.main(["--images", str(folder), "--name", "flowers", "--models-dir", str(tmp_path / "models")])

    message = capsys.readouterr().err
    assert status == 1
    assert "training.export: " in message
    assert reason in message
    assert not (tmp_path / "models").exists()
