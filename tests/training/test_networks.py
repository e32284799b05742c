import pytest
import torch
from torch import nn

from training.networks import CNN, MLP, Normalise, Served, initialise, parameters


def test_a_cnn_has_the_shapes_and_parameters_of_the_lectures_table():
    shapes, counts, output = [], [], torch.zeros(2, 3, 32, 32)
    for layer in CNN():
        output = layer(output)
        if not isinstance(layer, nn.ReLU):
            shapes.append(tuple(output.shape[1:]))
            counts.append(parameters(layer))

    assert shapes == [(32, 30, 30), (32, 15, 15), (64, 13, 13), (64, 6, 6), (64, 4, 4), (1024,), (64,), (10,)]
    assert counts == [896, 0, 18_496, 0, 36_928, 0, 65_600, 650]
    assert sum(counts[:6]) == 56_320
    assert parameters(CNN()) == 122_570


def test_an_mlp_has_the_shapes_and_parameters_of_the_lectures_table():
    shapes, counts, output = [], [], torch.zeros(2, 1, 28, 28)
    for layer in MLP():
        output = layer(output)
        shapes.append(tuple(output.shape[1:]))
        counts.append(parameters(layer))

    assert shapes == [(784,), (128,), (128,), (10,)]
    assert counts == [0, 100_480, 0, 1_290]
    assert parameters(MLP()) == 101_770


@pytest.mark.parametrize("kind", [MLP, CNN])
def test_dropout_adds_no_parameters_and_keeps_quiet_outside_training(kind):
    network = kind(dropout=0.5)
    images = torch.rand(4, 1, 28, 28) if kind is MLP else torch.rand(4, 3, 32, 32)

    assert parameters(network) == parameters(kind())
    assert not torch.equal(network.train()(images), network(images))
    assert torch.equal(network.eval()(images), network(images))


@pytest.mark.parametrize(("kind", "shape"), [(MLP, (2, 1, 28, 28)), (CNN, (2, 3, 32, 32))])
def test_a_network_has_as_many_outputs_as_classes(kind, shape):
    assert kind(classes=4)(torch.zeros(shape)).shape == (2, 4)


def test_frozen_parameters_are_not_counted():
    layer = nn.Linear(3, 2)
    layer.bias.requires_grad_(False)

    assert parameters(layer) == 6


@pytest.mark.parametrize(
    ("layer", "fan_in", "fan_out"), [(nn.Linear(300, 100), 300, 100), (nn.Conv2d(16, 32, 3), 16 * 9, 32 * 9)]
)
def test_weights_are_drawn_from_glorots_uniform_distribution_and_biases_are_zero(layer, fan_in, fan_out):
    bound = (6 / (fan_in + fan_out)) ** 0.5

    initialise(nn.Sequential(layer))

    assert 0.95 * bound < float(layer.weight.detach().abs().max()) <= bound
    assert float(layer.weight.detach().std()) == pytest.approx(bound / 3**0.5, rel=0.05)
    assert not layer.bias.detach().any()


def test_a_layer_without_biases_is_initialised_too():
    layer = nn.Linear(300, 100, bias=False)
    nn.init.zeros_(layer.weight)

    initialise(layer)

    assert layer.weight.detach().any()


def test_unit_normalisation_brings_pixels_between_0_and_1_with_channels_first():
    pixels = torch.tensor([[[[0, 51, 255]]]], dtype=torch.uint8)

    normalised = Normalise.to_unit(pixels)(pixels)

    assert normalised.shape == (1, 3, 1, 1)
    assert normalised.dtype == torch.float32
    assert normalised.flatten().tolist() == pytest.approx([0, 0.2, 1])


def test_standard_normalisation_gives_each_channel_mean_0_and_deviation_1():
    generator = torch.Generator().manual_seed(0)
    tops = torch.tensor([256.0, 100.0, 30.0])
    pixels = (torch.rand(50, 8, 8, 3, generator=generator) * tops).to(torch.uint8)

    normalised = Normalise.to_standard(pixels)(pixels)

    assert normalised.mean((0, 2, 3)).tolist() == pytest.approx([0, 0, 0], abs=1e-5)
    assert normalised.std((0, 2, 3), correction=0).tolist() == pytest.approx([1, 1, 1], abs=1e-4)


def test_served_probabilities_are_positive_and_add_up_to_1():
    pixels = torch.randint(0, 256, (5, 28, 28, 1), dtype=torch.uint8)

    probabilities = Served(Normalise.to_unit(pixels), MLP(), 1.0)(pixels)

    assert probabilities.shape == (5, 10)
    assert (probabilities > 0).all()
    assert probabilities.sum(1).tolist() == pytest.approx([1] * 5)


def test_a_higher_temperature_softens_the_answers_and_keeps_their_order():
    pixels = torch.randint(0, 256, (5, 28, 28, 1), dtype=torch.uint8)
    normalise, network = Normalise.to_unit(pixels), MLP()

    cold, warm, hot = (Served(normalise, network, temperature)(pixels) for temperature in (0.5, 1.0, 4.0))

    assert (cold.max(1).values > warm.max(1).values).all()
    assert (warm.max(1).values > hot.max(1).values).all()
    assert torch.equal(cold.argsort(1), hot.argsort(1))
    assert torch.allclose(hot, torch.softmax(network(normalise(pixels)) / 4, 1))
