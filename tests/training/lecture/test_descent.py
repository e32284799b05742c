import pytest
import torch

from training.lecture.descent import ENDS, Descent, Networks, descend

STARTS, STEPS = 60, 2_500


@pytest.fixture(scope="module")
def descent() -> Descent:
    """Many starts with two hidden units, gone far enough to stand still."""
    return descend(Networks.drawn(STARTS, units=2), 0.1, STEPS)


def test_the_lectures_weights_answer_the_truth_table():
    w, c, v, b = ([[[1, 1], [1, 1]]], [[[0, -1]]], [[[1, -2]]], [[0]])

    networks = Networks(*(torch.tensor(weights, dtype=torch.float64) for weights in (w, c, v, b)))

    assert networks.answers().tolist() == [[0, 1, 1, 0]]


def test_some_random_starts_find_xor_and_some_do_not(descent):
    assert 0.05 < descent.share < 0.6
    assert float(descent.losses[-1][descent.found].max()) < 0.001


def test_those_that_do_not_stand_still_on_one_of_three_plateaus(descent):
    stuck = ~descent.found
    moved, _ = descent.ended.step(0.1)

    on_one = torch.stack([descent.near(loss) for loss in ENDS]).any(0)

    assert float((on_one & stuck).sum()) > 0.9 * float(stuck.sum())
    assert float((moved.answers() - descent.ended.answers())[on_one].abs().max()) < 0.002


def test_a_dead_unit_is_never_moved_again(descent):
    dead = (descent.ended.hidden() == 0).all(1)

    later = descend(descent.ended, 0.1, 20).ended

    assert dead.any()
    assert torch.equal(later.w.transpose(1, 2)[dead], descent.ended.w.transpose(1, 2)[dead])


def test_no_start_with_a_dead_unit_finds_xor(descent):
    assert descent.dead.any()
    assert not (descent.dead & descent.found).any()


def test_the_solutions_found_are_not_made_of_whole_numbers(descent):
    assert descent.whole == 0


def test_more_units_find_it_more_often(descent):
    assert descend(Networks.drawn(STARTS, units=8), 0.1, STEPS).share > descent.share + 0.2


def test_steps_that_are_too_large_find_it_less_often(descent):
    assert descend(Networks.drawn(STARTS, units=2), 1.0, 500).share < descent.share / 2
