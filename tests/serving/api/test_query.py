"""The query parameters of a request for predictions."""

from urllib.parse import urlencode

import pytest

from serving.api.query import EXPLAIN_PARAMETERS, read_options
from serving.errors import BadRequest
from serving.inference.options import PredictOptions


def read(**query):
    return read_options(urlencode(query))


def test_without_parameters_the_options_are_the_defaults():
    assert read_options("") == PredictOptions()


def test_all_parameters_are_read():
    options = read(model="cifar-net:3", top_k="7", coverage="0.9", seen="true")

    assert options == PredictOptions("cifar-net", "3", 7, 0.9, True)


def test_empty_parameters_are_the_defaults():
    assert read(model="", top_k="", coverage="", seen="") == PredictOptions()


@pytest.mark.parametrize(
    "query",
    ["top_k=2&top_k=3", "model=fashion-mlp&model=fashion-mlp:2", "seen=true&seen=0", "coverage=.9&coverage=.95"],
)
def test_a_parameter_that_is_given_twice_and_differently_is_refused(query):
    name, (first, second) = query.partition("=")[0], [pair.partition("=")[2] for pair in query.split("&")]

    with pytest.raises(BadRequest) as refused:
        read_options(query)

    assert str(refused.value) == f"{name} is given twice, as {first!r} and as {second!r}; give it once."


def test_a_parameter_may_be_given_twice_with_the_same_value():
    options = read_options("top_k=2&top_k=02&seen=1&seen=true&coverage=.9&coverage=0.90&model=&model=cifar-cnn")

    assert options == PredictOptions("cifar-cnn", "", 2, 0.9, True)


@pytest.mark.parametrize("name", ["topk", "Model", "top_k ", "label", "", "colour", "x" * 1000])
def test_an_unknown_parameter_is_refused_with_those_that_exist(name):
    with pytest.raises(BadRequest) as refused:
        read(**{name: "1"})

    assert str(refused.value) == f"There is no parameter {name[:120]!r}. Parameters: model, top_k, coverage, seen."


def test_an_explanation_has_a_label_as_well():
    assert read_options("label=Bag&model=fashion-mlp", EXPLAIN_PARAMETERS) == PredictOptions("fashion-mlp", label="Bag")


@pytest.mark.parametrize("query", ["model=%E2%98%83", "model=\xe2\x98\x83"])
def test_a_model_may_be_percent_encoded_or_raw_utf_8(query):
    assert read_options(query).model == "\u2603"


@pytest.mark.parametrize("model", [":1", "fashion-mlp:", ":"])
def test_half_of_a_model_and_version_is_refused(model):
    with pytest.raises(BadRequest, match=f"^model='{model}' is neither NAME nor NAME:VERSION"):
        read(model=model)


@pytest.mark.parametrize(("text", "top_k"), [("1", 1), ("010", 10), ("9" * 99, 999_999_999)])
def test_top_k_is_a_whole_number_of_any_length(text, top_k):
    assert read(top_k=text).top_k == top_k


@pytest.mark.parametrize("top_k", ["0", "-1", "abc", "1.5", " 3", "+3", "1e3", "\u0663", "000", "0" * 12])
def test_a_top_k_that_is_not_a_whole_number_of_at_least_one_is_refused(top_k):
    with pytest.raises(BadRequest) as refused:
        read(top_k=top_k)

    assert str(refused.value) == f"top_k={top_k!r} is not a whole number of at least 1."


@pytest.mark.parametrize(
    ("text", "seen"), [("true", True), ("TRUE", True), ("1", True), ("false", False), ("0", False)]
)
def test_seen_is_true_or_false(text, seen):
    assert read(seen=text).seen is seen


@pytest.mark.parametrize("seen", ["yes", "2", "tru"])
def test_a_seen_that_is_neither_true_nor_false_is_refused(seen):
    with pytest.raises(BadRequest) as refused:
        read(seen=seen)

    assert str(refused.value) == f"seen={seen!r} is neither true nor false."


@pytest.mark.parametrize("coverage", ["0.8", "0.80", ".9", "0.99"])
def test_a_coverage_is_a_number_from_the_lowest_to_the_highest(coverage):
    assert read(coverage=coverage).coverage == float(coverage)


@pytest.mark.parametrize(
    "coverage", ["0.79", "0.995", "1", "95", "high", "-0.9", "nan", "0.9e0", "0.9" + "0" * 30, "0,9"]
)
def test_a_coverage_out_of_range_is_refused(coverage):
    with pytest.raises(BadRequest, match=r"is not a number from 0\.8 to 0\.99"):
        read(coverage=coverage)
