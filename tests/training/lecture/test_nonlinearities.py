from dataclasses import replace

import pytest
import torch

from training.lecture import nonlinearities
from training.networks.activations import ACTIVATIONS, UNITS


@pytest.mark.parametrize("kind", UNITS)
def test_a_derivative_is_the_limit_of_difference_quotients(kind):
    x = torch.tensor([-2.3, -0.7, 0.4, 1.9], dtype=torch.float64)
    function = nonlinearities.activation(kind)

    quotient = (function(x + 1e-6) - function(x - 1e-6)) / 2e-6

    assert nonlinearities.derivative(kind, x).tolist() == pytest.approx(quotient.tolist(), abs=1e-6)


def test_a_sigmoid_passes_a_quarter_of_a_gradient_at_most():
    derivatives = nonlinearities.derivative("sigmoid", torch.linspace(-5, 5, 101, dtype=torch.float64))

    assert float(derivatives.max()) == pytest.approx(0.25)


@pytest.mark.trains
def test_the_same_network_learns_with_each_kind_of_units(lesson):
    recipe = replace(nonlinearities.SHORT_TRAINING, batch=20, epochs=4)

    results = nonlinearities.train_each(lesson, recipe)

    assert list(results) == list(UNITS)
    assert all(epoch.val_accuracy > 0.3 for _, epoch in results.values())  # of ten classes
    assert {size for kind, (size, _) in results.items() if kind in ACTIVATIONS} == {101_770}
