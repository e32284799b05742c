import torch
from torch import nn

from training.networks.base import count_parameters
from training.networks.mlp import MLP


def test_an_mlp_has_the_shapes_and_parameters_of_the_lectures_table():
    shapes, counts, output = [], [], torch.zeros(2, 1, 28, 28)
    for layer in MLP():
        output = layer(output)
        shapes.append(tuple(output.shape[1:]))
        counts.append(count_parameters(layer))

    assert shapes == [(784,), (128,), (128,), (10,)]
    assert counts == [0, 100_480, 0, 1_290]
    assert count_parameters(MLP()) == 101_770


def test_an_mlp_can_have_other_depths_widths_and_activations_and_says_so_in_its_title():
    network = MLP(widths=(64, 32), activation="tanh")

    assert network.title == "mlp 784-64-32-10 tanh"
    assert count_parameters(network) == 785 * 64 + 65 * 32 + 33 * 10
    assert [type(layer) for layer in network] == [nn.Flatten, nn.Linear, nn.Tanh, nn.Linear, nn.Tanh, nn.Linear]
    assert MLP().title == "mlp 784-128-10"


def test_dropout_adds_no_parameters_and_is_off_outside_training():
    network, images = MLP(dropout=0.5), torch.rand(4, 1, 28, 28)

    assert count_parameters(network) == count_parameters(MLP())
    assert not torch.equal(network.train()(images), network(images))
    assert torch.equal(network.eval()(images), network(images))
