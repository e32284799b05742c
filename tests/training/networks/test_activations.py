import math

import pytest
import torch

from training.networks.activations import UNITS, RadialBasis, hidden
from training.networks.mlp import MLP


@pytest.mark.parametrize("kind", UNITS)
def test_an_mlp_can_be_made_of_each_kind_of_hidden_units_by_name(kind):
    network = MLP(activation=kind)

    logits = network(torch.randn(3, 1, 28, 28))

    assert logits.shape == (3, 10)
    assert logits.isfinite().all()


def test_an_unknown_name_is_refused_with_those_that_exist():
    with pytest.raises(ValueError, match=r"unknown hidden units 'swish'; known: relu, sigmoid, tanh"):
        hidden("swish", 3, 2)


def test_the_value_of_a_radial_basis_unit_depends_on_the_distance_from_its_centre():
    layer = RadialBasis(inputs=2, units=2).requires_grad_(False)
    layer.centres.copy_(torch.tensor([[1.0, 2.0], [0.0, 0.0]]))

    values = layer(torch.tensor([[1.0, 2.0], [0.0, 0.0], [30.0, 40.0]]))

    assert values[0].tolist() == pytest.approx([1, math.exp(-2.5)])
    assert values[1].tolist() == pytest.approx([math.exp(-2.5), 1])
    assert values[2].tolist() == pytest.approx([0, 0])
