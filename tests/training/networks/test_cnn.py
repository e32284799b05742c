import torch
from torch import nn

from training.networks.base import count_parameters
from training.networks.cnn import CNN


def test_a_cnn_has_the_shapes_and_parameters_of_the_lectures_table():
    shapes, counts, output = [], [], torch.zeros(2, 3, 32, 32)
    for layer in CNN():
        output = layer(output)
        if not isinstance(layer, nn.ReLU):
            shapes.append(tuple(output.shape[1:]))
            counts.append(count_parameters(layer))

    assert shapes == [(32, 30, 30), (32, 15, 15), (64, 13, 13), (64, 6, 6), (64, 4, 4), (1024,), (64,), (10,)]
    assert counts == [896, 0, 18_496, 0, 36_928, 0, 65_600, 650]
    assert sum(counts[:6]) == 56_320
    assert count_parameters(CNN()) == 122_570
