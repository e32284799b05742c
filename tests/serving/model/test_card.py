"""The card: it reads back as written, and an invalid one is refused with the place and what to do."""

import json

import numpy as np
import onnx
import pytest

from serving.model.card import CARD_KEY, MAX_CARD_CHARS, ContractError, Golden, ModelCard
from serving.model.conformal import Conformal, Level


@pytest.fixture(scope="module")
def metadata(models):
    model = onnx.load(models / "fashion-mlp" / "2" / "model.onnx")
    return {entry.key: entry.value for entry in model.metadata_props}


@pytest.fixture
def document(metadata):
    return json.loads(metadata[CARD_KEY])


def change(document, path, value):
    """Set the value at a path such as metrics.accuracy; a number in it is an index."""
    *steps, last = [int(step) if step.isdecimal() else step for step in path.split(".")]
    for step in steps:
        document = document[step]
    document[last] = value


def remove(document, path):
    *steps, last = path.split(".")
    for step in steps:
        document = document[step]
    del document[last]


def test_a_card_reads_back_as_written(metadata):
    card = ModelCard.from_metadata(metadata)

    assert ModelCard.from_metadata(card.to_metadata()) == card


def test_a_written_card_equals_that_of_the_committed_model(metadata, document):
    card = ModelCard.from_metadata(metadata)

    assert json.loads(card.to_metadata()[CARD_KEY]) == document


def test_an_unknown_field_is_ignored(document):
    later = {CARD_KEY: json.dumps({**document, "sharpness": {"mean": 0.3}})}

    assert ModelCard.from_metadata(later).name == "fashion-mlp"


@pytest.mark.parametrize(
    ("member", "again"), [("temperature", '"temperature": 9.0, '), ("accuracy", '"accuracy": 1.0, ')]
)
def test_a_repeated_member_is_refused_by_name(document, member, again):
    repeated = json.dumps(document).replace(f'"{member}": ', f'{again}"{member}": ', 1)

    with pytest.raises(ContractError, match=f"the card is not valid: the member '{member}' is repeated; export it"):
        ModelCard.from_metadata({CARD_KEY: repeated})


def test_a_repeated_member_of_an_ignored_field_is_refused_too(document):
    repeated = json.dumps(document)[:-1] + ', "sharpness": {"a": 1, "\\u0061": 2}}'

    with pytest.raises(ContractError, match="the member 'a' is repeated"):
        ModelCard.from_metadata({CARD_KEY: repeated})


def test_metadata_without_a_card_is_refused_with_what_to_do():
    with pytest.raises(ContractError, match=rf"no '{CARD_KEY}' in the metadata; export it with python -m training"):
        ModelCard.from_metadata({"author": "somebody"})


@pytest.mark.parametrize("text", ["", "not JSON", "{", "[]", "null", '"card"', "{}", '{"schema": 1}'])
def test_a_card_that_is_not_a_json_document_is_refused_with_what_to_do(text):
    with pytest.raises(ContractError, match=r"the card is not valid: .+; export it again with python -m training"):
        ModelCard.from_metadata({CARD_KEY: text})


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        ("schema", 2, r"Invalid enum value 2 - at `\$\.schema`"),
        ("schema", "1", r"\$\.schema"),
        ("name", "../fashion", r"\$\.name"),
        ("name", ".hidden", r"\$\.name"),
        ("name", "", r"\$\.name"),
        ("version", "0", r"\$\.version"),
        ("version", "01", r"\$\.version"),
        ("version", 1, r"\$\.version"),
        ("title", "", r"\$\.title"),
        ("labels.3", "a:b", r"\$\.labels\[3\]"),
        ("labels.3", "two\nlines", r"\$\.labels\[3\]"),
        ("labels.3", "", r"\$\.labels\[3\]"),
        ("labels", ["alone"], r"\$\.labels"),
        ("labels.3", "Bag", "a label is repeated"),
        ("parameters", 0, r"\$\.parameters"),
        ("fit", "stretch", r"Invalid enum value 'stretch' - at `\$\.fit`"),
        ("metrics.accuracy", 1.5, r"\$\.metrics\.accuracy"),
        ("metrics.accuracy", "0.9", r"\$\.metrics\.accuracy"),
        ("metrics.n", 0, r"\$\.metrics\.n"),
        ("metrics.loss", -1, r"\$\.metrics\.loss"),
        ("metrics.ece", None, r"\$\.metrics\.ece"),
        ("metrics.set_size", -1, r"\$\.metrics\.set_size"),
        ("conformal.coverage", 1.2, r"\$\.conformal\.coverage"),
        ("conformal.levels.0.threshold", -0.1, r"\$\.conformal\.levels\[0\]\.threshold"),
        ("conformal.levels.0.threshold", [0.1, 1.1], r"\$\.conformal\.levels\[0\]\.threshold\[1\]"),
        ("conformal.levels.1.threshold", [0.1] * 9, "coverage 0.81 must have one threshold for all labels or for each"),
        ("conformal.threshold", [0.1] * 11, "coverage 0.95 must have one threshold for all labels or for each"),
        ("novelty.share", 2, r"\$\.novelty\.share"),
        ("reference.labels", [0.5, 0.5], "the reference must have one share for each label"),
        ("reference.brightness.spread", -1, r"\$\.reference\.brightness\.spread"),
        ("temperature", 0, r"\$\.temperature"),
        ("temperature", -1.5, r"\$\.temperature"),
        ("golden", [], r"\$\.golden"),
        ("golden.0.probabilities", [0.5, 0.5], "a golden sample must have one probability for each label"),
        ("golden.0.probabilities.0", 1.1, r"\$\.golden\[0\]\.probabilities\[0\]"),
        ("training.data_sha256", "abc", r"\$\.training\.data_sha256"),
        ("training.seed", "one", r"\$\.training\.seed"),
        ("training.epochs", -1, r"\$\.training\.epochs"),
    ],
)
def test_a_card_with_an_invalid_value_is_refused_with_its_place(document, path, value, reason):
    change(document, path, value)

    with pytest.raises(ContractError, match=f"the card is not valid: .*{reason}.*; export it again"):
        ModelCard.from_metadata({CARD_KEY: json.dumps(document)})


@pytest.mark.parametrize(
    "path",
    [
        "name", "version", "title", "dataset", "licence", "labels", "network", "parameters", "fit", "metrics",
        "temperature", "golden", "training", "metrics.accuracy", "metrics.n", "metrics.loss", "metrics.ece",
        "metrics.set_size", "metrics.set_coverage", "conformal", "conformal.coverage", "conformal.threshold",
        "reference", "reference.labels", "reference.brightness", "reference.top_probability",
        "training.recipe", "training.date", "training.data_sha256", "training.epoch_accuracy",
    ],
)  # fmt: skip
def test_a_card_without_a_required_field_is_refused_with_its_name(document, path):
    remove(document, path)

    with pytest.raises(ContractError, match=f"missing required field `{path.split('.')[-1]}`"):
        ModelCard.from_metadata({CARD_KEY: json.dumps(document)})


def test_a_card_needs_three_golden_samples(document):
    document["golden"] = document["golden"][:2]

    with pytest.raises(ContractError, match=r"Expected `array` of length >= 3 - at `\$\.golden`"):
        ModelCard.from_metadata({CARD_KEY: json.dumps(document)})


@pytest.mark.parametrize(
    ("path", "item", "limit"),
    [
        ("golden", {"image": "", "probabilities": []}, 64),
        ("labels", "Hat", 25_000),
        ("conformal.levels", {"coverage": 0.9, "threshold": 0.1}, 100),
        ("training.teachers", "fashion-net", 100),
        ("notes", "a note", 100),
    ],
)
def test_a_card_with_too_long_a_list_is_refused_with_its_place(document, path, item, limit):
    change(document, path, [item] * (limit + 1))

    with pytest.raises(ContractError, match=rf"Expected `array` of length <= {limit} - at `\$\.{path}`"):
        ModelCard.from_metadata({CARD_KEY: json.dumps(document)})


def test_a_card_that_is_too_long_is_refused_unread():
    with pytest.raises(ContractError, match=r"the card has 16,777,217 characters; the limit is 16,777,216"):
        ModelCard.from_metadata({CARD_KEY: " " * (MAX_CARD_CHARS + 1)})


@pytest.mark.parametrize("channels", [1, 3])
def test_a_golden_sample_keeps_its_pixels_exactly(channels):
    pixels = np.random.default_rng(1).integers(0, 256, (6, 5, channels), np.uint8)

    golden = Golden.of(pixels, np.array([0.25, 0.75], np.float32))

    np.testing.assert_array_equal(golden.pixels(), pixels)
    assert golden.probabilities == [0.25, 0.75]


@pytest.mark.parametrize(
    "image", ["", "?", "aGVsbG8=", "iVBORw0KGgo="], ids=["empty", "not base64", "text", "truncated"]
)
def test_a_golden_sample_that_is_not_a_png_is_refused(image):
    with pytest.raises(ContractError, match="a golden sample's image is not a PNG in base64"):
        Golden(image, [0.5, 0.5]).pixels()


LEVELS = [Level(0.8, 0.4), Level(0.9, 0.2), Level(0.99, 0.01)]


@pytest.mark.parametrize(
    ("requested", "level"),
    [(0.8, 0.8), (0.81, 0.9), (0.9, 0.9), (0.93, 0.95), (0.95, 0.95), (0.96, 0.99), (0.99, 0.99)],
)
def test_a_coverage_gets_the_lowest_level_that_reaches_it(requested, level):
    assert Conformal(coverage=0.95, threshold=0.1, levels=LEVELS).level(requested).coverage == level


def test_a_coverage_above_all_levels_gets_none():
    assert Conformal(coverage=0.95, threshold=0.1, levels=LEVELS).level(0.995) is None
    assert Conformal(coverage=0.95, threshold=0.1).level(0.96) is None


def test_a_card_may_have_a_threshold_for_each_label(document):
    document["conformal"]["threshold"] = [0.1 * label for label in range(10)]
    document["conformal"]["levels"][0]["threshold"] = 0.5  # for all labels

    card = ModelCard.from_metadata({CARD_KEY: json.dumps(document)})

    assert card.conformal.default.by_label(10) == document["conformal"]["threshold"]
    assert card.conformal.levels[0].by_label(10) == [0.5] * 10


def test_a_set_has_the_labels_that_reach_their_own_thresholds_and_if_there_are_none_the_most_probable():
    probabilities = np.array([[0.5, 0.3, 0.2], [0.1, 0.6, 0.3], [0.3, 0.4, 0.3], [0.6, 0.1, 0.3]], np.float32)

    sets = Level(0.95, [0.7, 0.5, 0.25]).sets(probabilities)

    assert sets.tolist() == [[True, False, False], [False, True, True], [False, False, True], [False, False, True]]


def test_a_set_has_all_labels_from_the_threshold_on_and_if_there_are_none_the_most_probable():
    probabilities = np.array([[0.5, 0.25, 0.25], [0.125, 0.625, 0.25], [0.2, 0.2, 0.2]], np.float32)

    sets = Level(0.95, 0.25).sets(probabilities)

    assert sets.tolist() == [[True, True, True], [False, True, True], [True, False, False]]


def test_an_image_is_novel_above_the_threshold_and_where_novelty_is_nan(document):
    document["novelty"]["threshold"] = 0.5
    card = ModelCard.from_metadata({CARD_KEY: json.dumps(document)})

    assert card.novel(np.array([0.25, 0.5, 0.75, np.nan], np.float32)) == [False, False, True, True]
    assert card.novel(None) is None
