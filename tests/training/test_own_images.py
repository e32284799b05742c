"""A model of own images, from a folder to the service's answer."""

import base64
import csv
import hashlib
import io
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from flask.testing import FlaskClient
from onnx_classifiers import classifier
from own_images import JPEG, LABELS, PNG, WEBP, encoded, fill, flower
from PIL import Image
from small_networks import SmallNet

from serving.app import create_app
from serving.model.classifier import Classifier
from serving.repository.repository import Repository
from serving.settings import Settings
from training import export, images
from training.datasets.image_folder import ImageFolder
from training.export_options import chosen, contradiction_in, export_parser
from training.own_recipe import own_recipe
from training.pipeline import split
from training.sample_sizes import SampleSizes

COMMITTED = Path(__file__).parents[2] / "models"
EPOCHS = 3
FEW = SampleSizes(ood_set=30, photos=10, corrupted=1)
FEWEST = SampleSizes(ood_set=30, photos=10, corrupted=0)

pytestmark = pytest.mark.trains


@pytest.fixture(scope="session")
def flowers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Colour images in several sizes and formats, a broken and a hidden file among them: only to be read."""
    folder = fill(tmp_path_factory.mktemp("own") / "flowers", 40, (28, 40, 32), (PNG, JPEG, WEBP), channels=3)
    (folder / "rose" / "broken.jpg").write_bytes((folder / "rose" / "1.jpg").read_bytes()[:200])
    (folder / "rose" / ".hidden.jpg").write_bytes(b"")
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small folder of grey images."""
    return fill(tmp_path / "flowers")


@pytest.fixture
def _small_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have an export train a narrow network, or a pretrained one that sees less, where any will do."""
    monkeypatch.setattr("training.own_recipe.Net", SmallNet)
    monkeypatch.setattr("training.own_recipe.ENLARGED_TO", 64)


@pytest.fixture(scope="session")
def models(flowers: Path, once: Callable[..., Path]) -> Path:
    """The models after an export of those images: only to be read."""

    def build(models: Path) -> None:
        options = {"--images": flowers, "--name": "flowers", "--models-dir": models, "--epochs": EPOCHS}
        arguments = [str(part) for option in options.items() for part in option]
        assert export.main(arguments, FEW) == 0

    return once("own-models", build)


@pytest.fixture
def file(models: Path) -> Path:
    """The exported file."""
    return models / "flowers" / "1" / "model.onnx"


@pytest.fixture
def client(models: Path) -> FlaskClient:
    """A client of a service that has no other models."""
    return create_app(Settings(models=str(models))).test_client()


def classify(client: FlaskClient, upload: bytes, query: str = "") -> dict[str, Any]:
    """Return the service's answer to one image."""
    response = client.post(f"/classify?{query}", data=upload, content_type="application/octet-stream")
    return response.json["predictions"][0]


def right_and_covered(row: dict[str, str]) -> tuple[bool, bool]:
    """Return whether the predicted label is the true one, and whether the label set holds it."""
    return row["predicted"] == row["true"], row["true"] in row["set"].split(":")


def pixels_of(data_url: str) -> bytes:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data_url.partition(",")[2])))).tobytes()


def survey_by(model: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Return what python -m training.images prints of a folder with a model."""
    assert images.main([str(folder), "--model", str(model), "--sheet", str(model.parents[2] / "sheet.png")]) == 0
    return capsys.readouterr().out


def test_images_are_classified_by_the_features_of_another_classifier(tmp_path, flowers):
    other = tmp_path / "other.onnx"
    other.write_bytes(classifier().SerializeToString())
    options = ["--images", str(flowers), "--name", "flowers", "--models-dir", str(tmp_path), "--backbone", str(other)]

    assert export.main([*options, "--limit", "60", "--publish"], FEWEST) == 0

    card = Classifier.open(tmp_path / "flowers/1/model.onnx").card
    digest = hashlib.sha256(other.read_bytes()).hexdigest()
    assert card.network.startswith("other, without its last layer")
    assert digest in card.licence
    assert not (tmp_path / "flowers/1/curves.png").exists()  # of one point
    assert export.main([*options, "--limit", "60", "--publish", "--resume"], FEWEST) == 0
    assert not (tmp_path / "flowers/2").exists()  # though its last layer was fitted anew
    other.write_bytes(classifier("matmul").SerializeToString())
    assert export.main([*options, "--limit", "60", "--publish", "--resume"], FEWEST) == 0
    assert (tmp_path / "flowers/2").exists()


@pytest.mark.usefixtures("_small_networks")
def test_the_last_blocks_of_the_pretrained_network_learn_if_that_was_asked_for(tmp_path, flowers, capsys):
    options = ["--images", flowers, "--name", "flowers", "--models-dir", tmp_path, "--limit", "60", "--publish"]
    arguments = [*map(str, options), "--fine-tune"]

    assert export.main([*arguments, "--epochs", "2"], FEWEST) == 0

    card = Classifier.open(tmp_path / "flowers/1/model.onnx").card
    assert card.network == "efficientnet-lite0, pretrained on ImageNet, last 4 blocks fine-tuned"
    assert (card.training.epochs, card.training.augmentations[-1]) == (2, "random_zoom")
    assert "The last layer alone: val loss " in (text := capsys.readouterr().out)
    assert "efficientnet-lite0, pretrained on ImageNet, last 4 blocks fine-tuned: 3," in text
    assert "Output shape" not in text  # of 130 layers
    assert export.main([*arguments, "--epochs", "2", "--resume"], FEWEST) == 0
    assert not (tmp_path / "flowers/2").exists()
    capsys.readouterr()
    assert export.main([*arguments, "--epochs", "3", "--resume"], FEWEST) == 1  # of another length
    refused = capsys.readouterr().err
    assert "leave --resume out" in refused
    assert "Fitting" not in refused  # nor is anything computed before, which takes minutes of many images


def test_an_export_with_a_backbone_names_an_image_in_the_wrong_folder(tmp_path, capsys):
    other, random = tmp_path / "other.onnx", np.random.default_rng(0)
    other.write_bytes(classifier().SerializeToString())
    for place, number in product(range(3), range(12)):
        pixels = random.integers(0, 60, (28, 28, 3), np.uint8)
        pixels[..., place] += 150
        target = tmp_path / "balls" / ("red", "green", "blue")[place if (place, number) != (0, 5) else 2]
        target.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(target / f"{place}-{number}.png")
    options = ["--images", str(tmp_path / "balls"), "--name", "balls", "--models-dir", str(tmp_path / "models")]

    status = export.main([*options, "--backbone", str(other)], FEWEST)

    headline = "Likely mislabels: 1 of 36 images, each classified by a last layer that did not learn from it"
    suspect = f"  {tmp_path}/balls/blue/0-5.png: 'blue', more likely 'red' (by "
    assert status == 0
    assert f"{headline}\n{suspect}" in capsys.readouterr().out
    page = (tmp_path / "models/balls/1/report.html").read_text()
    assert "<h2>Likely mislabels</h2>" in page
    assert '<span class="file">blue/0-5.png</span>' in page
    assert f"{headline}\n{suspect}" in survey_by(tmp_path / "models/balls/1/model.onnx", tmp_path / "balls", capsys)


class TestServed:
    def test_the_service_recognizes_images_that_it_was_not_trained_on(self, client):
        uploads = [encoded(flower(label, 99, side=50, channels=3), "JPEG") for label in range(len(LABELS))]

        given = [classify(client, upload, "model=flowers") for upload in uploads]

        assert [answer["label"] for answer in given] == list(LABELS)
        assert {answer["model"] for answer in given} == {"flowers"}

    def test_the_service_sees_the_pixels_that_the_model_was_trained_on(self, client, flowers):
        files = [file.path for file in ImageFolder.open(flowers, "flowers").files if file.path.name != "broken.jpg"]

        seen = {pixels_of(classify(client, file.read_bytes(), "model=flowers&seen=true")["seen"]) for file in files}

        data = ImageFolder.open(flowers, "flowers").load()
        learned = {pixels.numpy().tobytes() for part in (data.train, data.test) for pixels in part.pixels}
        assert seen == learned

    def test_a_service_with_this_model_alone_uses_it_for_any_image(self, client):
        grey, coloured = (encoded(flower(2, 99, channels=channels), "PNG") for channels in (1, 3))

        assert {classify(client, upload)["model"] for upload in (grey, coloured)} == {"flowers"}

    def test_the_card_says_that_the_images_are_own(self, file):
        card = Classifier.open(file).card

        assert (card.name, card.dataset, card.fit) == ("flowers", "own images (flowers)", "photo")
        assert card.labels == list(LABELS)
        assert card.training.augmentations == ["random_shift"]  # what a mirrored flower shows has another label
        assert card.licence.startswith("not stated")

    def test_the_readmes_command_trains_it_again(self, models, flowers):
        (command,) = re.findall(r"`python -m training\.export (.*?)`", (models / "flowers/README.md").read_text())

        options = export_parser().parse_args(command.replace("DIR", str(flowers)).split())

        (recipe,) = chosen(options, "cpu")
        assert contradiction_in(options) is None
        assert (recipe.name, recipe.epochs, recipe.seed) == ("flowers", EPOCHS, 1)
        assert options.side == recipe.source.side

    def test_the_readme_claims_neither_a_licence_nor_a_published_data_set(self, models):
        text = (models / "flowers/README.md").read_text()

        front = text.split("---\n")[1]
        assert "license: other" in front
        assert "datasets:" not in front
        assert "for own images (flowers)" in text
        assert "MIT" not in text


class TestReport:
    def test_each_test_image_has_a_row_and_those_right_give_the_cards_accuracy(self, models, flowers):
        with (models / "flowers/1/predictions.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))

        metrics = Classifier.open(models / "flowers/1/model.onnx").card.metrics
        shares = [sum(found) / len(rows) for found in zip(*map(right_and_covered, rows), strict=True)]
        assert len(rows) == metrics.n
        assert all((flowers / row["file"]).is_file() for row in rows)
        assert all(row["file"].startswith(f"{row['true']}/") for row in rows)
        assert shares == pytest.approx([metrics.accuracy, metrics.set_coverage])

    def test_the_report_beside_the_model_has_the_cards_figures(self, models):
        metrics = Classifier.open(models / "flowers/1/model.onnx").card.metrics

        page = (models / "flowers/1/report.html").read_text()

        assert f"{metrics.accuracy:.1%}" in page
        assert "of 4 labels" in page
        assert "Loss by epoch" in page
        assert "Likely mislabels" not in page
        assert "[report.html](1/report.html)" in (models / "flowers/README.md").read_text()

    def test_the_service_does_not_hand_out_pictures_of_own_images(self, client):
        files = ("report.html", "predictions.csv")

        assert {client.get(f"/models/flowers/1/{file}").status_code for file in files} == {404}

    @pytest.mark.usefixtures("_small_networks")
    def test_a_folder_of_a_hostile_name_is_text_in_the_report(self, tmp_path, capsys):
        folder = fill(tmp_path / "flowers")
        (folder / "rose").rename(folder / '"><img src=x>')
        (folder / "tulip").rename(folder / "<script>alert(1)<")
        (folder / "daisy/0.png").rename(folder / """daisy/it's "0".png""")
        arguments = ["--images", str(folder), "--name", "flowers", "--models-dir", str(tmp_path / "models")]

        status = export.main([*arguments, "--epochs", "1"], FEWEST)

        report = tmp_path / "models/flowers/1/report.html"
        page = report.read_text()
        assert status == 0
        assert f"with pictures of its mistakes: {report}" in capsys.readouterr().out
        assert "&lt;script&gt;alert(1)&lt;" in page
        assert "<script" not in page
        assert "<img src=x>" not in page

    def test_a_published_data_set_has_neither_report_nor_predictions(self, rehearsal):
        folder = rehearsal("fashion-mlp") / "fashion-mlp"

        assert {path.name for path in (folder / "1").iterdir()} == {"model.onnx", "curves.png", "confusion.png"}
        assert "report.html" not in (folder / "README.md").read_text()


class TestRelease:
    @pytest.mark.usefixtures("_small_networks")
    def test_a_rehearsal_does_not_take_the_place_of_the_version_that_answers(self, models, flowers, tmp_path, capsys):
        copied = shutil.copytree(models, tmp_path / "models")
        arguments = ["--images", str(flowers), "--name", "flowers", "--models-dir", str(copied), "--epochs", "1"]

        status = export.main(arguments, FEWEST)

        text = capsys.readouterr().out
        assert status == 0
        assert (copied / "flowers/.draft/2/model.onnx").exists()
        assert not (copied / "flowers/2").exists()
        assert "on the same 32 test images" in text
        assert f"while version 1 answers. Kept as a draft in {copied}/flowers/.draft; to publish it:" in text
        assert f"python -m training.versions flowers --models-dir {copied} --promote" in text
        assert f"with pictures of its mistakes: {copied}/flowers/.draft/2/report.html" in text

    @pytest.mark.usefixtures("_small_networks")
    def test_an_export_surveys_the_images_first(self, flowers, tmp_path, capsys):
        models = tmp_path / "models"
        arguments = ["--images", str(flowers), "--name", "flowers", "--models-dir", str(models), "--epochs", "1"]

        status = export.main([*arguments, "--no-publish"], FEWEST)

        text = capsys.readouterr().out
        assert status == 0
        assert text.index(f"{flowers}: a folder for each label") < text.index("images to train on, 12 for validation")
        assert f"Left out: {flowers}/rose/broken.jpg" in text
        assert (
            "images, each classified by a last layer that did not learn from it" in text
        )  # not by one epoch's network
        assert (models / ".checkpoints/flowers-thumbnails.png").exists()
        assert [path.name for path in (models / "flowers").iterdir()] == [".draft"]
        assert Repository(models).ready() == []

    @pytest.mark.usefixtures("_small_networks")
    def test_a_novelty_score_that_cannot_tell_noise_is_left_out(self, tmp_path):
        random = np.random.default_rng(1)
        for label, number in product(("snow", "static"), range(40)):
            target = tmp_path / "noise" / label / f"{number}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(random.integers(0, 256, (28, 28), np.uint8)).save(target)
        arguments = ["--images", str(tmp_path / "noise"), "--name", "noise", "--models-dir", str(tmp_path / "models")]

        status = export.main([*arguments, "--epochs", "1"], FEWEST)

        classifier = Classifier.open(tmp_path / "models/noise/1/model.onnx")
        assert status == 0
        assert classifier.card.novelty is msgspec.UNSET
        assert classifier.run(np.zeros((1, 28, 28, 1), np.uint8)).novelty is None
        few, guessing, left_out = classifier.card.notes
        assert few.startswith("Calibrated on 6 validation images only")
        assert guessing.startswith("Not clearly better than guessing: macro accuracy is ")
        assert left_out.startswith(
            "The novelty score was left out: it tells noise from test images with an AUROC of 0."
        )
        assert left_out in (tmp_path / "models/noise/README.md").read_text()
        assert "novelty" not in (tmp_path / "models/noise/config.pbtxt").read_text()


def test_the_images_that_a_compact_network_learned_from_come_last_among_its_mislabels(file, flowers, tmp_path, capsys):
    changed = shutil.copytree(flowers, tmp_path / "flowers")
    for rose in (flowers / "rose").glob("1?.*"):
        shutil.copy(rose, changed / "daisy" / rose.name)
        shutil.copy(flowers / "daisy" / rose.name, changed / "rose" / rose.name)

    text = survey_by(file, changed, capsys)

    _, *lines = text[text.index("Likely mislabels, by flowers 1") :].splitlines()
    learned = [line.endswith(", though it learned that label") for line in lines]
    assert len(learned) == 20
    assert learned == sorted(learned)
    assert set(learned) == {False, True}


def test_validation_images_that_are_set_apart_calibrate(folder):
    data = ImageFolder.open(folder, "flowers").load()
    recipe = own_recipe(ImageFolder.open(folder, "flowers"))

    train, validation = split(recipe, replace(data, validation=data.test))

    assert (train, validation) == (data.train, data.test)


class TestEvaluate:
    def test_the_metrics_on_the_same_test_images_are_the_cards_own(self, run_evaluate, file, flowers, capsys):
        status = run_evaluate(file, "--images", flowers, "--json")

        shown = capsys.readouterr()
        metrics, printed = msgspec.to_builtins(Classifier.open(file).card.metrics), msgspec.json.decode(shown.out)
        assert status == 0
        assert printed["corrupted"]["accuracy"] == pytest.approx(metrics.pop("corrupted")["accuracy"])
        assert {name: printed[name] for name in metrics} == pytest.approx(metrics, rel=1e-5)
        assert printed["macro_accuracy"] == pytest.approx(metrics["accuracy"])  # each label has as many test images
        assert list(printed["novelty"]["auroc"]) == ["noise", "digits", "photo crops"]  # the others are not available
        assert "has changed" not in shown.err

    def test_without_the_folder_the_data_set_is_unknown(self, run_evaluate, file, capsys):
        status = run_evaluate(file)

        assert status == 1
        assert "name the folder that it was trained on with --images DIR" in capsys.readouterr().err

    def test_a_changed_folder_gives_a_warning(self, run_evaluate, file, flowers, tmp_path, capsys):
        changed = shutil.copytree(flowers, tmp_path / "flowers")
        (changed / "rose" / "1.jpg").unlink()

        status = run_evaluate(file, "--images", changed)

        assert status == 0
        assert f"{changed} has changed since flowers was trained" in capsys.readouterr().err

    def test_a_folder_of_other_labels_is_refused(self, run_evaluate, file, folder, capsys):
        (folder / "violet").rename(folder / "yarrow")

        status = run_evaluate(file, "--images", folder)

        assert status == 1
        assert (
            "has the labels daisy, rose, tulip, yarrow; flowers has daisy, rose, tulip, violet"
            in capsys.readouterr().err
        )

    def test_own_images_are_refused_for_a_model_of_published_data(self, run_evaluate, folder, capsys):
        status = run_evaluate(COMMITTED / "fashion-mlp/2/model.onnx", "--images", folder)

        assert status == 1
        assert "was trained on Fashion-MNIST, not on own images; leave --images out" in capsys.readouterr().err
