"""Schedules: the learning rate at each step, and the end of a training, by steps or by time."""

from dataclasses import replace

import pytest

from training.recipe import Recipe
from training.recipes import RECIPES
from training.train.schedule import SCHEDULES, Schedule, constant, linear, one_cycle

TEN_EPOCHS = replace(RECIPES["lecture-mlp"], schedule="linear", epochs=10)
ONE_MINUTE = replace(TEN_EPOCHS, minutes=1)
PATIENT = replace(TEN_EPOCHS, epochs=20, patience=0.25)


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


def shares(schedule: Schedule, steps: int) -> list[float]:
    """Take so many steps; return the share of the highest rate at each."""
    taken = []
    for _ in range(steps):
        taken.append(schedule.share)
        schedule.advance()
    return taken


def watched(schedule: Schedule, losses: list[float]) -> list[bool]:
    """Take two steps before each validation loss; return after which of them the rest was cut short."""
    cut = []
    for loss in losses:
        shares(schedule, 2)
        cut.append(schedule.watch(loss))
    return cut


def resumed(recipe: Recipe, schedule: Schedule, clock: Clock) -> Schedule:
    again = Schedule(recipe, 2, clock)
    again.load_state_dict(schedule.state_dict())
    return again


def test_one_cycle_rises_linearly_for_a_fifth_of_the_steps_and_falls_to_0():
    shares = [one_cycle(step, 100) for step in range(101)]

    assert shares[:20] == pytest.approx([step / 20 for step in range(1, 21)])
    assert shares[20:] == pytest.approx([1 - step / 80 for step in range(81)])


def test_a_linear_schedule_falls_from_the_highest_rate_to_0():
    assert [linear(step, 4) for step in range(5)] == [1, 0.75, 0.5, 0.25, 0]


def test_a_constant_rate_stays():
    assert {constant(step, 100) for step in range(100)} == {1.0}


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("steps", [1, 2, 3, 7, 100])
def test_the_rate_of_every_step_is_above_0(schedule, steps):
    assert all(0 < SCHEDULES[schedule](step, steps) <= 1 for step in range(steps))


def test_an_unknown_schedule_is_refused_with_those_that_exist():
    with pytest.raises(ValueError, match="unknown schedule 'cosine'; known: one-cycle, linear, constant"):
        Schedule(replace(TEN_EPOCHS, schedule="cosine"), 2)


def test_a_training_of_epochs_ends_with_their_last_step():
    schedule = Schedule(TEN_EPOCHS, 2)

    assert shares(schedule, 19) == [1 - step / 20 for step in range(19)]
    assert not schedule.is_over
    schedule.advance()
    assert schedule.is_over


def test_a_training_of_no_epochs_is_over_before_it_begins():
    assert Schedule(replace(TEN_EPOCHS, epochs=0), 2).is_over


def test_a_budget_sets_the_rates_by_the_time_that_has_passed_and_ends_with_it():
    clock = Clock()
    schedule = Schedule(ONE_MINUTE, 2, clock)
    taken = []

    for _ in range(4):
        taken += shares(schedule, 1)
        clock.seconds += 15

    assert taken == [1, 0.75, 0.5, 0.25]
    assert schedule.is_over
    assert schedule.share == 0


def test_a_budget_that_runs_out_in_the_midst_of_a_step_is_no_more_than_over():
    clock = Clock()
    schedule = Schedule(ONE_MINUTE, 2, clock)

    clock.seconds += 61

    assert schedule.is_over
    assert schedule.progress == 1


def test_a_budget_leaves_time_for_the_evaluations_but_at_least_a_tenth_for_the_steps():
    clock = Clock()
    short, long = Schedule(ONE_MINUTE, 2, clock), Schedule(ONE_MINUTE, 2, clock)

    short.reserve(10)
    long.reserve(1_000)

    assert (short.seconds_left, long.seconds_left) == (40, 6)


def test_the_time_left_is_told_from_the_first_step_on():
    clock = Clock()
    schedule = Schedule(TEN_EPOCHS, 2, clock)

    clock.seconds += 3
    schedule.advance()

    assert schedule.seconds_left == 19 * 3


def test_a_loss_that_falls_no_more_cuts_the_rest_short_to_a_cool_down():
    schedule = Schedule(PATIENT, 2)

    cut = watched(schedule, [3, 2, 1, 1, 1, 1, 1, 1])  # a quarter of 20 epochs after the third

    assert cut == [False] * 7 + [True]
    assert shares(schedule, 4) == pytest.approx([0.6, 0.45, 0.3, 0.15])
    assert schedule.is_over


def test_a_loss_that_still_falls_now_and_then_cuts_nothing():
    schedule = Schedule(PATIENT, 2)

    assert not any(watched(schedule, [9 - epoch // 4 for epoch in range(20)]))
    assert schedule.is_over


def test_without_patience_nothing_is_cut():
    assert not any(watched(Schedule(replace(PATIENT, patience=0.0), 2), [1] * 20))


def test_a_budget_is_cut_short_too():
    clock = Clock()
    schedule = Schedule(replace(ONE_MINUTE, patience=0.25), 2, clock)
    schedule.watch(1)
    clock.seconds += 15

    assert schedule.watch(1)
    assert schedule.seconds_left == 6


def test_a_resumed_budget_has_the_time_that_was_left():
    clock = Clock()
    schedule = Schedule(ONE_MINUTE, 2, clock)
    schedule.reserve(10)
    clock.seconds += 10
    again = resumed(ONE_MINUTE, schedule, clock)

    clock.seconds += 20

    assert again.seconds_left == 10
    assert again.share == 0.25


def test_a_resumed_cool_down_goes_on():
    schedule = Schedule(PATIENT, 2)
    watched(schedule, [1] * 6)

    again = resumed(PATIENT, schedule, Clock())

    assert shares(again, 4) == pytest.approx(shares(schedule, 4))
    assert again.is_over
