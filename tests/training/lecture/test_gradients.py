import pytest

from training.lecture import gradients
from training.lecture.gradients import DEPTH, INITIALIZATIONS, first_to_last, gradient_norms


def norms(activation: str, initialization: str) -> list[float]:
    return gradient_norms(activation, INITIALIZATIONS[initialization])


def test_each_layer_has_a_gradient():
    assert len(norms("tanh", "Glorot")) == DEPTH


@pytest.mark.parametrize("initialization", ["normal, deviation 0.01", "Glorot", "He"])
def test_the_gradients_of_sigmoids_vanish_layer_by_layer(initialization):
    found = norms("sigmoid", initialization)

    assert found == sorted(found)  # smaller and smaller toward the first layer
    assert first_to_last(found) < 1e-6


def test_weights_that_are_too_large_make_gradients_explode():
    found = norms("relu", "normal, deviation 1")

    assert found == sorted(found, reverse=True)
    assert first_to_last(found) > 1e6


@pytest.mark.parametrize(("activation", "initialization"), [("relu", "He"), ("tanh", "Glorot")])
def test_the_right_initialization_preserves_gradients(activation, initialization):
    assert 0.1 < first_to_last(norms(activation, initialization)) < 10


def test_relu_mitigates_vanishing_gradients():
    assert first_to_last(norms("relu", "He")) > first_to_last(norms("tanh", "normal, deviation 0.01"))
    assert first_to_last(norms("relu", "Glorot")) > 1e3 * first_to_last(norms("sigmoid", "Glorot"))


def test_every_row_of_the_section_agrees_with_the_lecture(lesson):
    assert all(row.agrees for row in gradients.section(lesson).rows)
