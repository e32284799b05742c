import pytest

from training.lecture.descent import Networks, descend
from training.lecture.symmetry import unit_difference, with_equal_units

RANDOM_STARTS, GRADIENT_STEPS = 30, 2_000


@pytest.fixture(scope="module")
def start() -> Networks:
    return Networks.random(RANDOM_STARTS, units=4)


@pytest.mark.trains
def test_units_that_start_equal_move_stay_exactly_equal_and_never_find_xor(start):
    equal = with_equal_units(start)

    end = descend(equal, 0.1, GRADIENT_STEPS)

    assert float((end.networks.w - equal.w).abs().max()) > 0.1
    assert unit_difference(end.networks) == 0
    assert end.solved_share == 0


@pytest.mark.trains
def test_units_that_start_at_random_differ_and_often_find_xor(start):
    end = descend(start, 0.1, GRADIENT_STEPS)

    assert unit_difference(end.networks) > 0.1
    assert end.solved_share > 0.3
