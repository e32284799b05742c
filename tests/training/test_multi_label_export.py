"""Own images with several labels, from a CSV to the answer of the service."""

import csv
import io
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from flask.testing import FlaskClient
from multi_label_images import LABELS, fill_multi_label, picture
from small_networks import SmallNet

from serving.app import create_app
from serving.model.classifier import Classifier
from serving.settings import Settings
from training import export, images
from training.datasets.formats import DataError
from training.datasets.image_folder import ImageFolder
from training.datasets.label_table import read_table
from training.sample_sizes import SampleSizes

FEW = SampleSizes(ood_set=30, photos=10, corrupted=1)
FEWEST = SampleSizes(ood_set=30, photos=10, corrupted=0)
EACH = 20  # images of each combination


@pytest.fixture
def table(tmp_path: Path) -> Callable[[str], Path]:
    """Write a CSV."""

    def write(rows: str) -> Path:
        path = tmp_path / "labels.csv"
        path.write_text(f"file,label\n{rows}")
        return path

    return write


class TestTable:
    @pytest.mark.parametrize(
        "rows", ["1.png,cat;dog\n", "1.png, dog | cat \n", "1.png,cat\n1.png,dog\n1.png,cat;dog\n"]
    )
    def test_a_file_has_all_labels_of_its_cells_and_rows(self, table, rows):
        (row,) = read_table(table(rows), multi_label=True).values()

        assert sorted(row.labels) == ["cat", "dog"]

    def test_an_empty_cell_means_none_of_the_labels(self, table):
        rows = read_table(table("1.png,\n2.png,;\n"), multi_label=True).values()

        assert [row.labels for row in rows] == [(), ()]

    @pytest.mark.parametrize("rows", ["1.png,\n1.png,cat\n", "1.png,cat\n1.png,\n"])
    def test_a_file_with_a_label_and_with_none_contradicts_itself(self, table, rows):
        with pytest.raises(DataError, match=r"line 3: 1\.png has (no label|the label)"):
            read_table(table(rows), multi_label=True)

    @pytest.mark.parametrize("rows", ["1.png,cat;dog\n", "1.png,cat|dog\n", "1.png,cat\n1.png,dog\n", "1.png,\n"])
    def test_several_labels_or_none_need_the_option(self, table, rows):
        with pytest.raises(DataError, match="add --multi-label"):
            read_table(table(rows))

    def test_folders_are_refused_with_what_to_give_instead(self, tmp_path):
        with pytest.raises(DataError, match=re.escape("name a CSV with the columns file,label and rows such as")):
            ImageFolder.open(tmp_path, "shapes", multi_label=True)

    def test_the_option_is_for_own_images(self, capsys):
        with pytest.raises(SystemExit):
            export.main(["fashion-mlp", "--multi-label"])

        assert "--multi-label is for own images" in capsys.readouterr().err


class TestImages:
    @pytest.fixture
    def folder(self, tmp_path) -> ImageFolder:
        return ImageFolder.open(fill_multi_label(tmp_path, each=10), "shapes", multi_label=True)

    def test_an_image_has_a_row_of_labels(self, folder):
        data = folder.load()

        assert data.train.labels.dtype == torch.bool
        assert {tuple(row) for row in data.train.labels.tolist()} == {
            (one, two, three) for one in (False, True) for two in (False, True) for three in (False, True)
        }

    def test_each_label_has_about_its_fifth_of_test_images(self, folder):
        data = folder.load()

        disc, *others = data.test.labels.sum(0).tolist()
        assert disc == 8  # of 40: where all are as frequent, the first counts as the rarest
        assert all(5 <= count <= 11 for count in others)
        assert len(data.test) == 16

    def test_copies_with_other_labels_are_named(self, tmp_path):
        table = fill_multi_label(tmp_path, each=10)
        (tmp_path / "copy.png").write_bytes((tmp_path / "79.png").read_bytes())  # of all labels
        table.write_text(f"{table.read_text()}copy.png,disc\n")

        (message,) = ImageFolder.open(table, "shapes", multi_label=True).load().skipped

        assert "'disc;square;stripes'" in message
        assert "'disc'" in message

    def test_test_images_without_any_label_are_refused(self, tmp_path):
        table = fill_multi_label(tmp_path, each=10)
        header, *rows = table.read_text().splitlines()
        split = [f"{row},{'test' if row.endswith(',') else 'train'}" for row in rows]
        table.write_text("\n".join([f"{header},split", *split]))

        with pytest.raises(DataError, match="none of the test images has a label to be measured: add images with lab"):
            ImageFolder.open(table, "shapes", multi_label=True).load()

    def test_a_limit_that_leaves_no_label_to_be_measured_is_refused(self, folder):
        files = sorted(folder.files, key=lambda file: bool(file.labels))  # those without any are the first ones

        with pytest.raises(DataError, match="none of the test images has a label to be measured: raise --limit"):
            replace(folder, files=tuple(files)).load(limit=1)

    def test_a_label_that_all_images_have_is_named(self, tmp_path, capsys):
        table = fill_multi_label(tmp_path, each=10)
        header, *rows = table.read_text().splitlines()
        table.write_text("\n".join([header, *(f"{row};picture" for row in rows if not row.endswith(","))]))

        assert images.main([str(table), "--multi-label", "--sheet", str(tmp_path / "sheet.png")]) == 0

        assert "Not learned: picture: every training image has this label, so the model" in capsys.readouterr().out

    def test_the_survey_counts_each_label_and_images_without_any(self, tmp_path, capsys):
        table = fill_multi_label(tmp_path, each=10)

        assert images.main([str(table), "--multi-label", "--sheet", str(tmp_path / "sheet.png")]) == 0

        rows = re.findall(r"│ (\S[^│]*?) +│ +(\d+) │ +(\d+) │ +(\d+) │", capsys.readouterr().out)
        assert rows[0] == ("disc", "32", "8", "40")
        assert [(label, count) for label, *_, count in rows[1:]] == [
            ("square", "40"),
            ("stripes", "40"),
            ("none of them", "10"),
        ]


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory, once: Callable[..., Path]) -> Path:
    """An export of such images, and their CSV: only to be read."""

    def build(folder: Path) -> None:
        table = fill_multi_label(folder / "pictures", EACH)
        options = ["--images", str(table), "--name", "shapes", "--multi-label", "--epochs", "16"]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("training.own_recipe.Net", SmallNet)
            assert export.main([*options, "--models-dir", str(folder / "models")], FEW) == 0

    return once("multi-label", build)


@pytest.fixture
def version(exported: Path) -> Path:
    """The folder of the exported version."""
    return exported / "models" / "shapes" / "1"


@pytest.fixture
def client(exported: Path) -> FlaskClient:
    return create_app(Settings(models=str(exported / "models"))).test_client()


@pytest.mark.trains
class TestExported:
    @pytest.mark.parametrize("labels", [(), ("disc",), ("square", "stripes"), LABELS])
    def test_the_service_answers_with_the_labels_of_a_new_picture(self, client, labels):
        upload = io.BytesIO()
        picture(labels, seed=9_999).save(upload, "PNG")

        answer = client.post("/classify", data=upload.getvalue(), content_type="image/png").json["predictions"][0]

        assert sorted(one["label"] for one in answer["labels"]) == sorted(labels)
        assert {one["label"] for one in answer["labels"]} <= set(answer["set"])

    def test_the_card_has_the_task_and_its_metrics(self, version):
        card = Classifier.open(version / "model.onnx").card

        assert len(card.task.thresholds) == 3
        assert all(0.1 <= threshold <= 0.9 for threshold in card.task.thresholds)
        assert card.metrics.map > 0.9
        assert card.metrics.f1 > 0.9
        assert card.metrics.accuracy > 0.8
        assert sum(card.reference.labels) == pytest.approx(1)
        for level in card.conformal.levels:
            assert all(np.array(level.threshold) <= card.task.thresholds)

    def test_the_probabilities_of_an_image_with_all_labels_do_not_sum_to_1(self, version):
        pixels = np.asarray(picture(LABELS, seed=9_999))[None]

        assert Classifier.open(version / "model.onnx").classify(pixels).sum() > 2

    def test_training_evaluate_measures_what_the_card_says(self, exported, version, run_evaluate, capsys):
        table = exported / "pictures" / "labels.csv"
        file = version / "model.onnx"

        assert run_evaluate(file, "--images", table, "--json") == 0

        measured, metrics = json.loads(capsys.readouterr().out), Classifier.open(file).card.metrics
        for name in ("accuracy", "n", "loss", "ece", "set_size", "set_coverage", "f1", "map"):
            assert measured[name] == pytest.approx(getattr(metrics, name), abs=1e-4)

    def test_the_readme_has_recall_and_precision_for_each_label(self, version):
        text = (version.parent / "README.md").read_text()

        assert "| label | images | recall | precision | coverage | threshold |" in text
        assert len(re.findall(r"^\| (?:disc|square|stripes) \| \d+ \|(?: [\d.]+ \|){4}$", text, re.MULTILINE)) == 3
        assert "gives none or several of them to an image" in text
        assert "--images CSV --multi-label --name shapes" in text
        assert not (version / "confusion.png").exists()

    def test_the_report_has_no_table_of_confusions(self, version):
        page = (version / "report.html").read_text()

        assert "Mean average precision" in page
        assert "Confusion matrix" not in page
        assert "too many for a table" not in page

    def test_the_predictions_join_the_labels_of_an_image(self, version):
        with (version / "predictions.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))

        assert {"", "disc:square", "disc:square:stripes"} < {row["true"] for row in rows}
        assert all(row["predicted"].count(":") == row["probability"].count(":") for row in rows)

    def test_a_label_too_much_is_a_likely_mislabel(self, exported, version, tmp_path, capsys):
        table = shutil.copytree(exported / "pictures", tmp_path / "pictures") / "labels.csv"
        table.write_text(table.read_text().replace("0.png,", "0.png,disc", 1))
        options = ["--multi-label", "--model", str(version / "model.onnx"), "--sheet", str(tmp_path / "sheet.png")]

        assert images.main([str(table), *options]) == 0

        assert f"{table.parent}/0.png: 'disc', more likely 'no label' (by 0." in capsys.readouterr().out

    def test_a_model_of_several_labels_is_asked_about_such_images_alone(self, version, tmp_path, capsys):
        folder = tmp_path / "pictures"
        for label in LABELS:
            (folder / label).mkdir(parents=True)
            for seed in range(10):
                picture((label,), seed).save(folder / label / f"{seed}.png")

        assert images.main([str(folder), "--model", str(version / "model.onnx")]) == 1

        assert "shapes may have several labels: name the CSV with --multi-label" in capsys.readouterr().err

    def test_an_export_without_the_option_refuses_the_csv(self, exported, tmp_path, capsys):
        options = ["--images", str(exported / "pictures" / "labels.csv"), "--name", "shapes"]

        assert export.main([*options, "--models-dir", str(tmp_path)], FEW) == 1

        assert "add --multi-label" in capsys.readouterr().err

    def test_another_version_is_compared_by_the_images_with_all_labels_right(
        self, exported, tmp_path, monkeypatch, capsys
    ):
        monkeypatch.setattr("training.own_recipe.Net", SmallNet)
        shutil.copytree(exported / "models" / "shapes", tmp_path / "shapes")
        table = exported / "pictures" / "labels.csv"
        options = ["--images", str(table), "--name", "shapes", "--multi-label", "--epochs", "1"]

        assert export.main([*options, "--models-dir", str(tmp_path)], FEWEST) == 0

        text = r"version 2 has [\d.]+% right, version 1 has [\d.]+%, on the same 32 test images"
        assert re.search(text, capsys.readouterr().out)
