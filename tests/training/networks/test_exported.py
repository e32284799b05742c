import pytest
import torch

from training.networks.exported import ExportedModel
from training.networks.mlp import MLP
from training.networks.normalize import Normalize


def test_exported_probabilities_are_positive_and_add_up_to_1():
    pixels = torch.randint(0, 256, (5, 28, 28, 1), dtype=torch.uint8)

    (probabilities,) = ExportedModel(Normalize.to_unit(pixels), MLP(), 1.0)(pixels)

    assert probabilities.shape == (5, 10)
    assert (probabilities > 0).all()
    assert probabilities.sum(1).tolist() == pytest.approx([1] * 5)


def test_a_higher_temperature_softens_the_probabilities_and_keeps_their_order():
    pixels = torch.randint(0, 256, (5, 28, 28, 1), dtype=torch.uint8)
    normalize, network = Normalize.to_unit(pixels), MLP()

    cold, warm, hot = (ExportedModel(normalize, network, temperature)(pixels)[0] for temperature in (0.5, 1.0, 4.0))

    assert (cold.max(1).values > warm.max(1).values).all()
    assert (warm.max(1).values > hot.max(1).values).all()
    assert torch.equal(cold.argsort(1), hot.argsort(1))
    assert torch.allclose(hot, torch.softmax(network(normalize(pixels)) / 4, 1))
