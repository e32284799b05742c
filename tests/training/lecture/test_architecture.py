from dataclasses import replace

import pytest
import torch

from training.lecture import architecture


@pytest.mark.parametrize("layers", [1, 2, 3, 6])
def test_each_layer_doubles_the_pieces_of_the_sawtooth(layers):
    x = torch.linspace(0, 1, 2**10 + 1, dtype=torch.float64)

    assert architecture.count_pieces(architecture.sawtooth(x, layers)) == 2**layers


def test_a_straight_line_is_one_piece_and_a_hinge_two():
    x = torch.linspace(-1, 1, 101, dtype=torch.float64)

    assert architecture.count_pieces(3 * x - 1) == 1
    assert architecture.count_pieces(x.relu()) == 2


@pytest.mark.trains
def test_every_depth_and_width_has_a_validation_error_and_a_wide_network_has_less(lesson):
    recipe = replace(architecture.SHORT_TRAINING, batch=20, epochs=4)

    errors = architecture.validation_errors(lesson, depths=(1, 2), widths=(1, 64), recipe=recipe)

    assert set(errors) == {(1, 1), (1, 64), (2, 1), (2, 64)}
    assert errors[1, 64] < errors[1, 1]
    assert errors[2, 64] < errors[2, 1]
