"""The schedule of a training: its learning rates and its end, by steps or by time."""

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

from training.recipe import Recipe

WARM_UP_SHARE = 0.2  # of a one-cycle schedule
COOL_DOWN_SHARE = 0.1  # of a schedule that is cut short: the last points of accuracy come at low rates
LEAST_SHARE = 0.1  # of a budget that is left for steps, whatever the evaluation takes


class Schedule:
    """How far a training is: in steps or, where the recipe has a budget of minutes, in seconds."""

    def __init__(self, recipe: Recipe, steps_per_epoch: int, clock: Callable[[], float] = time.perf_counter) -> None:
        """clock: returns seconds; only differences count. Raises ValueError when there is no such schedule."""
        if recipe.schedule not in SCHEDULES:
            raise ValueError(f"unknown schedule {recipe.schedule!r}; known: {', '.join(SCHEDULES)}")
        self._shape = SCHEDULES[recipe.schedule]
        self._timed = recipe.minutes is not None
        self._total: float = 60 * recipe.minutes if recipe.minutes else recipe.epochs * steps_per_epoch
        self._unit: float = 1 if self._timed else steps_per_epoch  # a cut training ends with an epoch
        self._patience = recipe.patience
        self._end, self._pace = self._total, 1.0
        self._lowest, self._lowest_at = math.inf, 0.0
        self._clock = clock
        self._start(0)

    @property
    def share(self) -> float:
        """The share of the highest learning rate for the next step."""
        return self._shape(self._total - self._left * self._pace, self._total)

    @property
    def progress(self) -> float:
        """The share of the whole schedule that has passed, at most 1: a budget may run out in the midst of a step."""
        return min(1.0, self._now / self._total)

    @property
    def is_over(self) -> bool:
        return self._left <= 0

    @property
    def seconds_left(self) -> float:
        """The seconds until the end; where steps decide, at their mean pace so far."""
        elapsed = self._clock() - self._started
        return self._left if self._timed else self._left * elapsed / max(1, self._steps)

    def advance(self) -> None:
        """Note that a step was taken."""
        self._steps += 1

    def reserve(self, seconds: float) -> None:
        """Start a budget, less the seconds of an evaluation: once for the one that was timed, once for the last one."""
        self._total = self._end = max(self._total - 2 * seconds, LEAST_SHARE * self._total)
        self._start(0)

    def watch(self, val_loss: float) -> bool:
        """Cut the rest short once the validation loss has not fallen for the recipe's patience; return whether it was.

        The learning rates then fall from where they are to 0, in a cool-down: to stop at once would lose accuracy.
        """
        if val_loss < self._lowest:
            self._lowest, self._lowest_at = val_loss, self._now
        waited = self._now - self._lowest_at
        cool_down = math.ceil(COOL_DOWN_SHARE * self._total / self._unit) * self._unit
        if not self._patience or self._pace > 1 or waited < self._patience * self._total or cool_down >= self._left:
            return False
        self._end, self._pace = self._now + cool_down, self._left / cool_down
        return True

    def state_dict(self) -> dict[str, Any]:
        """Return the state that the schedule of the same recipe needs to resume."""
        names = ("_total", "_end", "_pace", "_lowest", "_lowest_at")
        return {"now": self._now} | {name: getattr(self, name) for name in names}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Resume from a state; the time since it was saved does not count."""
        self._start(state["now"])
        self.__dict__.update({name: state[name] for name in state if name != "now"})

    def _start(self, now: float) -> None:
        self._before, self._steps, self._started = now, 0, self._clock()

    @property
    def _now(self) -> float:
        return self._before + (self._clock() - self._started if self._timed else self._steps)

    @property
    def _left(self) -> float:
        return max(0, self._end - self._now)


def one_cycle(step: float, steps: float) -> float:
    """Return the share of the highest learning rate: it rises linearly for a fifth of the steps, then falls to 0."""
    warm_up = max(1, round(WARM_UP_SHARE * steps))
    return min((step + 1) / warm_up, (steps - step) / max(1, steps - warm_up))


def linear(step: float, steps: float) -> float:
    """Return the share of the highest learning rate: it falls linearly from the first step on."""
    return 1 - step / steps


def constant(_: float, steps: float) -> float:
    """Return the share of the highest learning rate: always 1."""
    return 1.0


SCHEDULES = {"one-cycle": one_cycle, "linear": linear, "constant": constant}
