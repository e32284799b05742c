import pytest

from training.lecture import gradients
from training.lecture.gradients import INITIALISATIONS, ratio


def norms(kind: str, initialisation: str) -> list[float]:
    return gradients.gradients(kind, INITIALISATIONS[initialisation])


def test_a_gradient_is_given_for_each_layer():
    assert len(gradients.gradients("tanh", INITIALISATIONS["Glorot"], depth=7)) == 7


@pytest.mark.parametrize("initialisation", ["normal, deviation 0.01", "Glorot", "He"])
def test_the_gradients_of_sigmoids_vanish_layer_by_layer(initialisation):
    found = norms("sigmoid", initialisation)

    assert found == sorted(found)  # less and less towards the first layer
    assert ratio(found) < 1e-6


def test_weights_that_are_too_large_make_gradients_explode():
    found = norms("relu", "normal, deviation 1")

    assert found == sorted(found, reverse=True)
    assert ratio(found) > 1e6


@pytest.mark.parametrize(("kind", "initialisation"), [("relu", "He"), ("tanh", "Glorot")])
def test_the_fitting_initialisation_keeps_gradients_as_they_are(kind, initialisation):
    assert 0.1 < ratio(norms(kind, initialisation)) < 10


def test_the_order_is_as_the_lecture_says():
    assert ratio(norms("relu", "He")) > ratio(norms("tanh", "normal, deviation 0.01"))
    assert ratio(norms("relu", "Glorot")) > 1e3 * ratio(norms("sigmoid", "Glorot"))


def test_the_section_agrees_with_the_lecture_throughout(lesson):
    assert all(row.agrees for row in gradients.section(lesson).rows)
