"""A model that gives an image several labels, or none, from its card to the answer of the service."""

import csv
import io
import re

import msgspec
import numpy as np
import pytest
from multi_label_model import NAME, write_multi_label

from serving.app import create_app
from serving.client.output import csv_writer, in_words
from serving.model.card import ContractError
from serving.model.classifier import Classifier
from serving.prediction import Prediction
from serving.settings import Settings


@pytest.fixture(scope="module")
def several(models, tmp_path_factory):
    """Return a client of a service that has the multi-label model alone."""
    folder = tmp_path_factory.mktemp("several")
    write_multi_label(models, folder)
    return create_app(Settings(models=str(folder))).test_client()


@pytest.fixture
def classify(several, image):
    """Return what classifies one of the test images."""

    def ask(name: str, query: str = "") -> dict[str, object]:
        response = several.post(f"/classify?{query}", data=image(name), content_type="image/png")
        return response.json["predictions"][0]

    return ask


@pytest.mark.parametrize(
    ("name", "labels"), [("ankle-boot", ["Ankle boot", "Sneaker"]), ("trouser", ["Trouser"]), ("bag", [])]
)
def test_an_image_gets_all_labels_that_reach_their_thresholds(classify, name, labels):
    answer = classify(name)

    assert [one["label"] for one in answer["labels"]] == labels
    assert answer["label"] == answer["top"][0]["label"]
    assert set(labels) <= {"Ankle boot", "Sneaker", *answer["set"]}


def test_the_labels_come_with_their_probabilities_the_most_probable_first(classify):
    first, second = classify("ankle-boot")["labels"]

    assert (first["index"], second["index"]) == (9, 7)
    assert first["probability"] > 0.9 > second["probability"] >= 0.05


def test_top_k_leaves_the_labels_as_they_are(classify):
    assert len(classify("ankle-boot", "top_k=1")["labels"]) == 2


def test_an_image_without_labels_may_have_an_empty_set(models, tmp_path, image):
    high = {"coverage": 0.95, "threshold": 1.0, "levels": []}
    write_multi_label(models, tmp_path, conformal=high)
    client = create_app(Settings(models=str(tmp_path))).test_client()

    def sets(name: str) -> list[str]:
        return client.post("/classify", data=image(name), content_type="image/png").json["predictions"][0]["set"]

    assert sets("bag") == []
    assert sets("trouser") == ["Trouser"]  # what is given is in the set


def test_a_single_label_model_has_no_labels_in_its_answer(client, image):
    answer = client.post("/classify?model=fashion-mlp", data=image("bag"), content_type="image/png").json

    assert "labels" not in answer["predictions"][0]


def test_the_service_is_ready_though_rows_do_not_sum_to_1(several):
    assert several.get("/readyz").status_code == 200


def test_the_protocol_v2_gives_the_rows_as_they_are(several):
    inputs = [{"name": "image", "datatype": "UINT8", "shape": [1, 28, 28, 1], "data": [128] * 784}]

    (probabilities, _) = several.post(f"/v2/models/{NAME}/infer", json={"inputs": inputs}).json["outputs"]

    assert sum(probabilities["data"]) > 1.1


def test_a_label_of_several_is_explained(several, image):
    answer = several.post("/explain?label=Sneaker", data=image("ankle-boot"), content_type="image/png").json

    assert (answer["label"], len(answer["grid"])) == ("Sneaker", len(answer["grid"][0]))


def test_each_label_given_is_counted(models, tmp_path, image):
    write_multi_label(models, tmp_path)
    client = create_app(Settings(models=str(tmp_path))).test_client()
    for name in ("ankle-boot", "bag"):
        client.post("/classify", data=image(name), content_type="image/png")

    text = client.get("/metrics").get_data(as_text=True)
    counts = dict(re.findall(rf'thimble_predictions_total{{label="([^"]+)",model="{NAME}",[^}}]*}} (\S+)', text))
    assert {label: float(count) for label, count in counts.items()} == {"Ankle boot": 1, "Sneaker": 1}


def test_the_model_listing_says_its_task(several):
    (listed,) = several.get("/models").json["models"]

    assert listed["card"]["task"]["kind"] == "multi-label"
    assert len(listed["card"]["task"]["thresholds"]) == 10


def test_a_form_without_a_script_gets_a_page_with_all_labels(several, image):
    def page(name: str) -> str:
        data = {"image": (io.BytesIO(image(name)), f"{name}.png")}
        return several.post("/classify", data=data, headers={"Accept": "text/html"}).get_data(as_text=True)

    assert re.findall(r"<h2>(.+), [\d.]+%</h2>", page("ankle-boot")) == ["Ankle boot", "Sneaker"]
    assert "<h2>None of its labels</h2>" in page("bag")


@pytest.mark.parametrize(
    ("task", "reason"),
    [
        ({"kind": "multi-label", "thresholds": [0.5] * 9}, "one threshold for each label"),
        ({"kind": "multi-label", "thresholds": [0.5] * 9 + [1.5]}, "<= 1.0"),
        ({"kind": "multi-label", "thresholds": [0.5] * 9 + [float("nan")]}, "not valid"),
        ({"kind": "multi-label", "thresholds": [0.5] * 9 + [None]}, "Expected `float`"),
        ({"kind": "multi-label"}, "thresholds"),
        ({"kind": "ranking", "thresholds": [0.5] * 10}, "ranking"),
        ("multi-label", "Expected `object`"),
    ],
)
def test_a_card_whose_task_is_not_valid_is_refused(models, tmp_path, task, reason):
    file = write_multi_label(models, tmp_path, task=task)

    with pytest.raises(ContractError, match=re.escape(reason)):
        Classifier.open(file)


def test_decisions_and_sets_are_made_for_many_images_at_once(models, tmp_path):
    card = Classifier.open(write_multi_label(models, tmp_path)).card
    probabilities = np.zeros((2, 10), np.float32)
    probabilities[0, [7, 9]] = 0.1, 0.5

    assert card.decide(probabilities).nonzero()[1].tolist() == [7, 9]
    assert not card.sets(probabilities)[1].any()


class TestCommand:
    @pytest.fixture
    def prediction(self, classify):
        return lambda name: msgspec.convert(classify(name), Prediction)

    def test_a_line_has_all_labels(self, prediction):
        assert re.match(r"Ankle boot \d+\.\d%, Sneaker \d+\.\d% \(", in_words(prediction("ankle-boot")))
        assert in_words(prediction("bag")).startswith("none of its labels (")

    def test_a_row_has_all_labels(self, prediction):
        file = io.StringIO()
        write = csv_writer(file)
        for name in ("ankle-boot", "bag"):
            write(name, prediction(name))

        rows = list(csv.DictReader(io.StringIO(file.getvalue())))
        assert [row["labels"] for row in rows] == ["Ankle boot | Sneaker", ""]
