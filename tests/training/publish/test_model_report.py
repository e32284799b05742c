import csv
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest
import torch
from msgspec import UNSET

from serving.model.card import ModelCard
from serving.model.classifier import Classifier
from serving.model.metrics import ModelMetrics, Novelty, Photos
from training.datasets.labelled import LabelledImages
from training.evaluation.evaluate_graph import Evaluation
from training.networks.efficientnet import EfficientNetLite
from training.publish.predictions import ImagePrediction, image_predictions, write_predictions
from training.publish.report import MAX_EXAMPLES, MAX_MISTAKES, ModelReport
from training.train.trainer import Epoch

MODELS = Path(__file__).parents[3] / "models"
HOSTILE = ("<script>alert(1)<", '"><img src=x onerror=alert(1)>', "{{ 7 * 7 }}", "'; DROP TABLE")
LABELS = [*HOSTILE, "mug", "spoon", "fork", "knife", "plate", "jug"]
FILE = """it's "1" <b>&amp;.jpg"""
EPOCHS = [Epoch(n, 1 / n, 1 - 0.3 / n, 1.2 / n, 0.9 - 0.4 / n, 0.004 / n, 61.25) for n in (1, 2, 3)]
METRICS = ModelMetrics(accuracy=0.9, n=10, loss=0.3, ece=0.01, ece_uncalibrated=0.02, set_size=1.2, set_coverage=0.951)
PHOTOS = Photos(accuracy=0.87, untouched=0.89, n=10)


class Page(HTMLParser):
    """The elements of a page, with their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    @property
    def pictures(self) -> list[str]:
        sources = (attributes["src"] or "" for tag, attributes in self.elements if tag == "img")
        return [source for source in sources if source.startswith("data:image/jpeg")]


@pytest.fixture(scope="module")
def card() -> ModelCard:
    """A card of ten labels, some of which are hostile."""
    return msgspec.structs.replace(Classifier.open(MODELS / "fashion-mlp/2/model.onnx").card, labels=LABELS)


def predictions_of(
    card: ModelCard, true: list[int], probabilities: torch.Tensor, **evaluation
) -> list[ImagePrediction]:
    """Return the predictions of images, of which each has the same name."""
    evaluated = Evaluation(METRICS, 0.5, [], None, PHOTOS, probabilities, **evaluation)
    test = LabelledImages(torch.zeros(len(true), 1, 1, 1), torch.tensor(true))
    return list(image_predictions(evaluated, card, test, [FILE] * len(true)))


def report_on(card: ModelCard, true: list[int], predicted: list[int], epochs=EPOCHS) -> ModelReport:
    """Return the report on images that were given these labels, each more surely than the one before."""
    sure = torch.linspace(0.5, 0.95, len(true))
    probabilities = torch.full((len(true), 10), 0.05 / 9)
    probabilities[range(len(true)), predicted] = sure
    pixels = torch.randint(256, (len(true), 128, 128, 3), dtype=torch.uint8)
    images = LabelledImages(pixels, torch.tensor(true))
    return ModelReport(card, images, predictions_of(card, true, probabilities), probabilities, [40] * 10, 404, epochs)


class TestReport:
    def test_hostile_labels_and_file_names_are_text(self, card):
        page = Page(report_on(card, [0, 1, 2, 3], [1, 0, 3, 2]).to_html())

        assert {name for _, attributes in page.elements for name in attributes if name.startswith("on")} == set()
        assert {tag for tag, _ in page.elements}.isdisjoint({"script", "link", "iframe"})
        assert all((attributes["src"] or "").startswith("data:") for tag, attributes in page.elements if tag == "img")
        assert all(label in page.text for label in (*HOSTILE, FILE))

    def test_labels_with_as_many_images_have_one_number_and_no_suspects_are_none(self, card):
        page = Page(replace(report_on(card, [0], [0]), suspects=[]).to_html())

        assert "of 10 labels, 40 each to learn from" in page.text
        assert "None: no image looks more like another label than like its own." in page.text

    def test_nothing_is_loaded_from_elsewhere(self, card):
        page = report_on(card, [0, 1], [1, 0]).to_html()

        outside_pictures = re.sub(r"data:image/[a-z+]+;base64,[A-Za-z0-9+/=]+", "", page)  # base64 may hold "//a"
        assert re.findall(r"(?:https?:)?//[a-z]", outside_pictures) == []
        assert "default-src 'none'" in page

    def test_the_worst_mistakes_come_first_and_are_bounded(self, card):
        report = report_on(card, [4] * 300, [5] * 300)

        page = Page(report.to_html())

        assert [one.place for one in report.worst] == list(range(299, 299 - MAX_MISTAKES, -1))
        assert len(page.pictures) == MAX_MISTAKES + MAX_EXAMPLES
        assert max(map(len, page.pictures)) < 20_000
        assert f"{MAX_MISTAKES} of 300" in page.text

    def test_an_image_of_several_labels_is_counted_once(self, card):
        page = Page(report_on(card, [4, 5], [4, 5]).to_html())

        assert "Images404" in page.text.replace("\n", "")

    def test_a_model_without_mistakes_is_said_to_have_none(self, card):
        page = Page(report_on(card, [4, 5], [4, 5]).to_html())

        assert "None: each test image got its own label." in page.text
        assert page.pictures == []

    def test_confusions_seen_twice_are_listed_the_most_frequent_first(self, card):
        report = report_on(card, [4, 4, 5, 6, 6, 6], [5, 5, 4, 7, 7, 7])

        found = [(one.true, one.predicted, one.times, len(one.examples)) for one in report.confusions]

        assert found == [("fork", "knife", 3, 3), ("mug", "spoon", 2, 2)]

    def test_each_label_counts_as_much_in_macro_accuracy(self, card):
        assert report_on(card, [4, 4, 4, 5], [4, 4, 4, 4]).macro_accuracy == 0.5

    def test_labels_have_their_own_figures_and_none_without_test_images(self, card):
        report = report_on(card, [4, 4], [4, 5])

        *_, mug, spoon = list(report.by_label)[:6]

        assert (mug.label, mug.trained, mug.tested, mug.recall) == ("mug", 40, 2, 0.5)
        assert mug.coverage == 0.5
        assert mug.set_size >= 1
        assert spoon[2:] == (0, None, 0.0, None, None)

    def test_empty_sets_have_a_size_of_0(self, card):
        report = report_on(card, [4], [4])
        empty = replace(report, predictions=[replace(one, label_set=()) for one in report.predictions])

        assert "0.00" in Page(empty.to_html()).text

    def test_a_network_fitted_at_once_has_no_curves(self, card):
        frozen = msgspec.structs.replace(card, network=EfficientNetLite.title)
        curves, compact, loaded = (report_on(card, [4], [5], epochs).to_html() for epochs in (EPOCHS, EPOCHS[:1], []))

        assert "Loss by epoch" in curves
        assert "It learned for one epoch, so there is no curve" in compact
        assert "fitted, at once, so there is no curve" in report_on(frozen, [4], [5], EPOCHS[:1]).to_html()
        assert "without a record" in loaded

    def test_many_labels_have_no_table_of_confusions(self, card):
        probabilities = torch.eye(30)
        golden = [msgspec.structs.replace(one, probabilities=[1 / 30] * 30) for one in card.golden]
        reference = msgspec.structs.replace(card.reference, labels=[1 / 30] * 30)
        conformal = msgspec.structs.replace(card.conformal, threshold=0.1, levels=[])
        changes = {"golden": golden, "reference": reference, "conformal": conformal}
        many = msgspec.structs.replace(card, labels=[f"label {n}" for n in range(30)], **changes)
        test = LabelledImages(torch.zeros(30, 8, 8, 1, dtype=torch.uint8), torch.arange(30))

        report = ModelReport(
            many, test, predictions_of(many, list(range(30)), probabilities), probabilities, [9] * 30, 300, []
        )

        assert "see confusion.png" in report.to_html()


class TestPredictions:
    @pytest.fixture
    def rows(self, card, tmp_path) -> list[dict[str, str]]:
        """The rows of the CSV of three images."""
        known = msgspec.structs.replace(
            card,
            conformal=msgspec.structs.replace(card.conformal, threshold=0.3),
            novelty=Novelty(threshold=0.5, share=0.1),
        )
        probabilities = torch.zeros(3, 10)
        probabilities[:, 4], probabilities[:, 1] = torch.tensor([0.9, 0.6, 0.2]), torch.tensor([0.1, 0.4, 0.8])
        scores = torch.tensor([0.1, 0.6, 0.5]).numpy()
        write_predictions(
            predictions_of(known, [4, 4, 5], probabilities, novelty_scores=scores), LABELS, tmp_path / "predictions.csv"
        )
        with (tmp_path / "predictions.csv").open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def test_a_row_is_an_image(self, rows):
        assert rows[0] == {
            "file": FILE, "true": "mug", "predicted": "mug", "probability": "0.9000", "set": "mug", "novel": "no",
        }  # fmt: skip
        assert [row["predicted"] for row in rows] == ["mug", "mug", HOSTILE[1]]

    def test_the_labels_of_a_set_are_joined_by_colons(self, rows):
        assert rows[1]["set"].split(":") == [HOSTILE[1], "mug"]

    @pytest.mark.parametrize("hostile", ['=HYPERLINK("//x")', "+1", "-1", "@sum", "\t=1", "\r=1"])
    def test_what_a_spreadsheet_would_run_is_text(self, hostile, tmp_path):
        prediction = ImagePrediction(0, f"{hostile}/1.jpg", (0,), (1,), (0.1, 0.9), (0, 1), None)

        write_predictions([prediction], [hostile, "mug"], tmp_path / "predictions.csv")

        with (tmp_path / "predictions.csv").open(encoding="utf-8", newline="") as file:
            _, row = csv.reader(file)
        assert row == [f"'{hostile}/1.jpg", f"'{hostile}", "mug", "0.9000", f"'{hostile}:mug", ""]

    def test_novel_is_what_lies_above_the_threshold(self, rows):
        assert [row["novel"] for row in rows] == ["no", "yes", "no"]

    def test_novel_is_left_open_where_the_graph_does_not_tell(self, card):
        without = msgspec.structs.replace(card, novelty=UNSET)

        (prediction,) = predictions_of(without, [4], torch.eye(10)[4:5], novelty_scores=torch.ones(1).numpy())

        assert prediction.novel is None
