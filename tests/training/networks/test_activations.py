import math

import pytest
import torch

from training.networks import MLP
from training.networks.activations import UNITS, RadialBasis, hidden


@pytest.mark.parametrize("kind", UNITS)
def test_an_mlp_can_be_made_of_each_kind_of_hidden_units_by_name(kind):
    network = MLP(activation=kind)

    logits = network(torch.randn(3, 1, 28, 28))

    assert logits.shape == (3, 10)
    assert logits.isfinite().all()


def test_an_unknown_name_is_refused_with_those_that_exist():
    with pytest.raises(ValueError, match=r"'swish'; there are: relu, sigmoid, tanh"):
        hidden("swish", 3, 2)


def test_a_radial_basis_unit_answers_by_the_distance_from_its_centre():
    layer = RadialBasis(inputs=2, units=2).requires_grad_(False)
    layer.centres.copy_(torch.tensor([[1.0, 2.0], [0.0, 0.0]]))

    answers = layer(torch.tensor([[1.0, 2.0], [0.0, 0.0], [30.0, 40.0]]))

    assert answers[0].tolist() == pytest.approx([1, math.exp(-2.5)])
    assert answers[1].tolist() == pytest.approx([math.exp(-2.5), 1])
    assert answers[2].tolist() == pytest.approx([0, 0])
