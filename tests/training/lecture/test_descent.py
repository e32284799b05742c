import pytest
import torch

from training.lecture.descent import PLATEAUS, Descent, Networks, descend

RANDOM_STARTS, GRADIENT_STEPS = 60, 2_500


@pytest.fixture(scope="module")
def descent() -> Descent:
    """Many starts with two hidden units, after enough steps to stand still."""
    return descend(Networks.random(RANDOM_STARTS, units=2), 0.1, GRADIENT_STEPS)


def test_the_lectures_weights_answer_the_truth_table():
    w, c, v, b = ([[[1, 1], [1, 1]]], [[[0, -1]]], [[[1, -2]]], [[0]])

    networks = Networks(*(torch.tensor(weights, dtype=torch.float64) for weights in (w, c, v, b)))

    assert networks.outputs().tolist() == [[0, 1, 1, 0]]


@pytest.mark.trains
def test_some_random_starts_find_xor_and_some_do_not(descent):
    assert 0.05 < descent.solved_share < 0.6
    assert float(descent.losses[-1][descent.solved].max()) < 0.001


@pytest.mark.trains
def test_the_starts_that_fail_are_stuck_on_one_of_three_plateaus(descent):
    stuck = ~descent.solved
    moved, _ = descent.networks.step(0.1)

    on_plateau = torch.stack([descent.stuck_near(loss) for loss in PLATEAUS]).any(0)

    assert float((on_plateau & stuck).sum()) > 0.9 * float(stuck.sum())
    assert float((moved.outputs() - descent.networks.outputs())[on_plateau].abs().max()) < 0.002


@pytest.mark.trains
def test_a_dead_unit_never_moves_again(descent):
    dead = (descent.networks.hidden() == 0).all(1)

    later = descend(descent.networks, 0.1, 20).networks

    assert dead.any()
    assert torch.equal(later.w.transpose(1, 2)[dead], descent.networks.w.transpose(1, 2)[dead])


@pytest.mark.trains
def test_no_start_with_a_dead_unit_finds_xor(descent):
    assert descent.has_dead_unit.any()
    assert not (descent.has_dead_unit & descent.solved).any()


@pytest.mark.trains
def test_the_solutions_do_not_consist_of_whole_numbers(descent):
    assert descent.integer_solutions == 0


@pytest.mark.trains
def test_more_units_find_xor_more_often(descent):
    more_units = descend(Networks.random(RANDOM_STARTS, units=8), 0.1, GRADIENT_STEPS)

    assert more_units.solved_share > descent.solved_share + 0.2


@pytest.mark.trains
def test_steps_that_are_too_large_find_xor_less_often(descent):
    large_steps = descend(Networks.random(RANDOM_STARTS, units=2), 1.0, 500)

    assert large_steps.solved_share < descent.solved_share / 2
