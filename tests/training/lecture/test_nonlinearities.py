from dataclasses import replace

import pytest
import torch

from training.lecture import nonlinearities
from training.networks.activations import UNITS


def test_each_function_has_the_lectures_formula(lesson, monkeypatch):
    monkeypatch.setattr(nonlinearities, "SHORT", replace(nonlinearities.SHORT, epochs=1))

    rows = {row.item: row for row in nonlinearities.section(lesson).rows}

    formulas = [row for item, row in rows.items() if item.startswith("Formula")]
    assert len(formulas) == len(UNITS)
    assert all(row.agrees for row in formulas)
    assert rows["ReLU: its derivative at 0"].here == 0
    assert rows["Sigmoid: its range"].agrees
    assert rows["Tanh: about the origin"].agrees


@pytest.mark.parametrize("kind", UNITS)
def test_a_slope_is_the_limit_of_differences(kind):
    x = torch.tensor([-2.3, -0.7, 0.4, 1.9], dtype=torch.float64)
    function = nonlinearities.function(kind)

    quotient = (function(x + 1e-6) - function(x - 1e-6)) / 2e-6

    assert nonlinearities.slope(kind, x).tolist() == pytest.approx(quotient.tolist(), abs=1e-6)


def test_a_sigmoid_lets_through_a_quarter_of_a_gradient_at_most():
    slopes = nonlinearities.slope("sigmoid", torch.linspace(-5, 5, 101, dtype=torch.float64))

    assert float(slopes.max()) == pytest.approx(0.25)


def test_the_same_network_learns_with_each_kind_of_units(lesson):
    recipe = replace(nonlinearities.SHORT, batch=20, epochs=4)

    found = nonlinearities.trained(lesson, recipe)

    assert list(found) == list(UNITS)
    assert all(epoch.held_accuracy > 0.3 for _, epoch in found.values())  # of ten classes
    assert {size for kind, (size, _) in found.items() if kind in nonlinearities.ACTIVATIONS} == {101_770}
