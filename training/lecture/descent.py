"""XOR by gradient descent: many random starts at once, and where they end."""

import math
from dataclasses import dataclass

import torch
from matplotlib.axes import Axes
from torch import Tensor

from training.lecture.agreement import Row
from training.lecture.plots import COLOURS, draw
from training.lecture.section import Grid, Lesson, Plot, Section
from training.lecture.xor import X, Y

STARTS, STEPS, RATE = 500, 3_000, 0.1
FEWER = 200  # starts for each of the other widths and step sizes
WIDTHS, RATES = (2, 3, 4, 8), (0.02, 0.5, 1.0)
FOUND = 0.05  # no answer is further from the truth
ENDS = {1 / 8: "two cases right, ½ for the other two", 1 / 6: "one case told from three", 1 / 4: "½ for every case"}
NEAR = 0.005  # in loss, to one of the ends


@dataclass(frozen=True)
class Networks:
    """Many networks of one hidden layer: w [n, 2, units], c [n, 1, units], v [n, 1, units], b [n, 1]."""

    w: Tensor
    c: Tensor
    v: Tensor
    b: Tensor

    @classmethod
    def drawn(cls, n: int, units: int, seed: int = 0) -> "Networks":
        """Draw weights from a normal distribution; biases are zero."""
        generator = torch.Generator().manual_seed(seed)
        w, v = (torch.randn(n, inputs, units, generator=generator, dtype=torch.float64) for inputs in (2, 1))
        return cls(w, torch.zeros_like(v), v, torch.zeros_like(v[..., 0]))

    @property
    def all(self) -> tuple[Tensor, ...]:
        return self.w, self.c, self.v, self.b

    def hidden(self) -> Tensor:
        """Return the hidden units for the four cases: [n, 4, units]."""
        return ((X[:, :, None] * self.w[:, None]).sum(2) + self.c).clamp_min(0)

    def answers(self) -> Tensor:
        """Return the answers to the four cases: [n, 4]."""
        return (self.hidden() * self.v).sum(2) + self.b

    def step(self, rate: float) -> tuple["Networks", Tensor]:
        """Return the networks one step down the gradient, and the losses [n] before it."""
        inputs = type(self)(*(weights.detach().requires_grad_() for weights in self.all))
        losses = (inputs.answers() - Y.T).square().mean(1)
        slopes = torch.autograd.grad(losses.sum(), inputs.all)
        moved = (weights.detach() - rate * slope for weights, slope in zip(inputs.all, slopes, strict=True))
        return type(self)(*moved), losses.detach()


@dataclass(frozen=True)
class Descent:
    """Where each start ended, and its losses on the way: [steps, n]."""

    ended: Networks
    losses: Tensor

    @property
    def found(self) -> Tensor:
        """Return which starts found XOR: [n]."""
        return (self.ended.answers() - Y.T).abs().amax(1) < FOUND

    @property
    def share(self) -> float:
        return float(self.found.double().mean())

    @property
    def dead(self) -> Tensor:
        """Return which networks have a unit that no case wakes, and so no gradient reaches: [n]."""
        return (self.ended.hidden() == 0).all(1).any(1)

    def near(self, loss: float) -> Tensor:
        """Return which starts were left near a loss: [n]."""
        return ~self.found & ((self.losses[-1] - loss).abs() < NEAR)

    @property
    def whole(self) -> int:
        """Return how many of the solutions that were found are made of whole numbers."""
        solutions = torch.cat([weights[self.found].flatten(1) for weights in self.ended.all], dim=1)
        return int(((solutions - solutions.round()).abs() < 0.01).all(1).sum())


def descend(networks: Networks, rate: float, steps: int) -> Descent:
    """Go down the gradient of each network's mean squared error, over all four cases at each step."""
    losses = []
    for _ in range(steps):
        networks, now = networks.step(rate)
        losses.append(now)
    return Descent(networks, torch.stack(losses))


def section(_: Lesson) -> Section:
    """Return the section."""
    descent = descend(Networks.drawn(STARTS, units=2), RATE, STEPS)
    tried = [(units, RATE) for units in WIDTHS] + [(2, rate) for rate in RATES]
    shares = [(units, rate, descend(Networks.drawn(FEWER, units), rate, STEPS).share) for units, rate in tried]
    return Section(
        title="XOR by gradient descent",
        blocks=(
            "Nobody guesses the weights of a real network: one starts anywhere and walks downhill. Here "
            f"{STARTS} networks of two hidden units, the same as above but with weights drawn at random, take "
            f"{STEPS:,} steps of size {RATE} down the gradient of the squared error over all four cases.",
            _plot(descent),
            f"{descent.share:.0%} of them find XOR. The others do not wander: they stand still on one of three "
            "plateaus, where the gradient is zero although the answer is wrong. Which one depends on the start alone.",
            _ends(descent),
            f"{int((descent.dead & ~descent.found).sum())} of these {int((~descent.found).sum())} have a dead unit: no "
            "case wakes it, so its gradient is zero and it never comes back. With one unit left the network is hardly "
            "more than the linear model. More units mean more chances that enough of them live; steps that are too "
            "large throw the weights about, kill more units and at last diverge; small ones are safe but slow.",
            Grid(
                ("Hidden units", "Step size", "Share that finds XOR"),
                [(str(units), f"{rate:g}", f"{share:.1%}") for units, rate, share in shares],
                f"Of {FEWER} starts each, after {STEPS:,} steps.",
            ),
        ),
        rows=_rows(descent, [share for _, _, share in shares]),
        names=("descent.Networks", "descent.descend", "descent.Descent"),
    )


def _rows(descent: Descent, shares: list[float]) -> tuple[Row, ...]:
    found, starts = int(descent.found.sum()), len(descent.found)
    return (
        Row(
            "XOR by descent: the initial values",
            "where descent converges depends on the initial values",
            f"{found} of {starts} random starts find XOR",
            0 < found < starts,
            "some find it and some do not",
        ),
        Row(
            "XOR by descent: the step size",
            "where descent converges depends on the step size",
            f"{shares[0]:.1%} of the same starts find it in steps of {RATE}, {shares[-1]:.1%} in steps of {RATES[-1]}",
            shares[0] > shares[-1],
            "fewer find it with the larger steps",
        ),
        Row(
            "XOR by descent: the solutions",
            "usually not clean, integer-valued",
            f"{descent.whole} of {found} are",
            found > 0 and descent.whole < found / 2,
            "less than half are within 0.01 of whole numbers",
        ),
    )


def _ends(descent: Descent) -> Grid:
    """Return how many starts ended where."""

    def row(end: str, loss: str, which: Tensor) -> tuple[str, ...]:
        return end, loss, str(int(which.sum())), str(int((which & descent.dead).sum()))

    plateaus = {loss: descent.near(loss) for loss in ENDS}
    elsewhere = ~torch.stack([descent.found, *plateaus.values()]).any(0)
    rows = [row("XOR", "0", descent.found)]
    rows += [row(ENDS[loss], f"1/{round(1 / loss)}", which) for loss, which in plateaus.items()]
    rows += [row("elsewhere, or still on the way", "", elsewhere)] if elsewhere.any() else []
    return Grid(("Answer", "Loss", "Starts", "of them with a dead unit"), rows, "Where the starts end.")


def _plot(descent: Descent, shown: int = 20) -> Plot:
    steps = torch.logspace(0, math.log10(len(descent.losses)), 100).long().unique()

    def paint(axes: list[Axes]) -> None:
        for which, colour, name in ((~descent.found, COLOURS[1], "stuck"), (descent.found, COLOURS[0], "found XOR")):
            losses = descent.losses[steps - 1][:, which][:, :shown]
            lines = axes[0].plot(steps.tolist(), losses.tolist(), color=colour, linewidth=0.7, alpha=0.6)
            for line in lines[:1]:  # all are alike in the legend
                line.set_label(name)
        axes[0].set(xlabel="step", ylabel="mean squared error", xscale="log", ylim=(-0.02, 0.6))
        axes[0].set_yticks([0, *ENDS, 0.5], ["0", *(f"1/{round(1 / loss)}" for loss in ENDS), "1/2"])
        axes[0].legend()

    caption = f"The loss of the first {shown} starts that find XOR, and of the first {shown} that do not."
    return draw(paint, "Loss by step for many random starts", caption)
