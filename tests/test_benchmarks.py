"""What the benchmarks measure: the version that answers, photos as they are seen, failures with their reason."""

import io
import subprocess
from pathlib import Path

import pytest
from PIL import ExifTags, Image

from benchmarks import conformal, own_images, photos, routing, training
from benchmarks.faults.soak import input_shapes
from benchmarks.newest import model_names, newest
from benchmarks.photos import Photo
from serving.repository.repository import Repository

MODELS = Path(__file__).parents[1] / "models"


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A folder of models beside which others lie: an old copy of a version, an empty version, and a draft."""
    for place in ("net/1", "net/1.bak", "net/10", "net/9", ".net-tmpabc/11", "other/notes"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "model.onnx").touch()
    (tmp_path / "net/11").mkdir()
    (tmp_path / "README.md").touch()
    return tmp_path


def test_the_version_measured_is_the_highest_with_a_model_in_it(models):
    assert newest(models, "net") == models / "net/10/model.onnx"


def test_a_model_without_versions_is_named(models):
    with pytest.raises(FileNotFoundError, match="other: no version with a model in it"):
        newest(models, "other")


def test_drafts_and_other_folders_are_no_models(models):
    assert model_names(models) == ["net"]


def test_a_long_run_asks_for_the_inputs_of_the_versions_that_answer():
    served = [one for one in Repository(MODELS).ready() if one.card.name != "router"]

    assert model_names(MODELS) == sorted([*(one.card.name for one in served), "router"])
    assert input_shapes(MODELS) == {one.card.name: (1, one.height, one.width, one.channels) for one in served}


def test_a_photo_in_grey_stands_as_upright_as_in_colour(tmp_path):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6  # turned by a quarter
    Image.new("RGB", (30, 20)).save(file := tmp_path / "photo.jpg", exif=exif)

    with Image.open(io.BytesIO(Photo(file, "shirt", frozenset()).read(grey=True))) as grey:
        assert (grey.size, grey.mode) == ((20, 30), "L")


@pytest.mark.parametrize("benchmark", [photos, own_images])
def test_a_folder_without_photos_is_named_before_anything_is_measured(tmp_path, benchmark, capsys):
    with pytest.raises(SystemExit):
        benchmark.main([str(tmp_path)])

    assert f"{tmp_path}: no " in capsys.readouterr().err


@pytest.mark.trains
@pytest.mark.parametrize("benchmark", [conformal, routing, training])
def test_a_data_set_that_is_not_there_is_named(tmp_path, benchmark, capsys):
    with pytest.raises(SystemExit):
        benchmark.main(["--data-dir", str(tmp_path / "nowhere")])

    assert f"{benchmark.__name__}: {tmp_path / 'nowhere'}: no such folder" in capsys.readouterr().err


def test_a_model_to_measure_that_is_not_there_is_named(tmp_path, capsys):
    (tmp_path / "things/cat").mkdir(parents=True)
    Image.new("RGB", (30, 20)).save(tmp_path / "things/cat/1.png")

    with pytest.raises(SystemExit):
        photos.main([str(tmp_path), "--models-dir", str(tmp_path / "nowhere")])

    assert "benchmarks.photos: There is no model 'cifar-net'. Models: none." in capsys.readouterr().err


def test_a_folder_of_photos_that_is_not_a_label_is_refused(tmp_path, capsys):
    (tmp_path / "garments/Socks").mkdir(parents=True)
    Image.new("RGB", (30, 20)).save(tmp_path / "garments/Socks/1.png")

    with pytest.raises(SystemExit):
        photos.main([str(tmp_path), "--models-dir", str(MODELS), "--garments", "fashion-mlp"])

    assert "benchmarks.photos: garments/Socks: fashion-mlp has no such label, only T-shirt" in capsys.readouterr().err


@pytest.mark.trains
def test_an_export_that_fails_says_why_on_standard_error(tmp_path, capfd):
    (tmp_path / "fashion-mnist").mkdir()
    (tmp_path / "fashion-mnist/train-images-idx3-ubyte.gz").write_bytes(b"no")

    with pytest.raises(subprocess.CalledProcessError):
        training.whole_process("mlp", tmp_path, tmp_path)

    assert "train-images-idx3-ubyte.gz: not a complete gzipped IDX file" in capfd.readouterr().err
