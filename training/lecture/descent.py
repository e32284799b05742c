"""XOR by gradient descent: many random starts at once, and where each one ends."""

import math
from dataclasses import dataclass

import torch
from matplotlib.axes import Axes
from torch import Tensor

from training.figure import COLORS
from training.lecture.agreement import Row
from training.lecture.plots import draw
from training.lecture.section import Lesson, Plot, Section, Table
from training.lecture.xor import X, Y

RANDOM_STARTS, GRADIENT_STEPS, STEP_SIZE = 500, 3_000, 0.1
COMPARED_STARTS = 200  # for each of the other widths and step sizes
PLOTTED_STARTS = 20  # of those that find XOR, and of the others
COMPARED_WIDTHS, COMPARED_STEP_SIZES = (2, 3, 4, 8), (0.02, 0.5, 1.0)
SOLVED_ERROR = 0.05  # a network that finds XOR has no larger error in any case
PLATEAUS = {
    1 / 8: "two cases right, ½ for the other two",
    1 / 6: "one case right, one answer for the other three",
    1 / 4: "½ for every case",
}  # by their loss
PLATEAU_TOLERANCE = 0.005  # of the loss


@dataclass(frozen=True)
class Networks:
    """Many networks with one hidden layer: w [n, 2, units], c [n, 1, units], v [n, 1, units], b [n, 1]."""

    w: Tensor
    c: Tensor
    v: Tensor
    b: Tensor

    @classmethod
    def random(cls, n: int, units: int) -> "Networks":
        """Draw weights from a normal distribution; biases are zero."""
        generator = torch.Generator().manual_seed(0)
        w, v = (torch.randn(n, inputs, units, generator=generator, dtype=torch.float64) for inputs in (2, 1))
        return cls(w, torch.zeros_like(v), v, torch.zeros_like(v[..., 0]))

    @property
    def parameters(self) -> tuple[Tensor, ...]:
        return self.w, self.c, self.v, self.b

    def hidden(self) -> Tensor:
        """Return the hidden units for the four cases: [n, 4, units]."""
        return ((X[:, :, None] * self.w[:, None]).sum(2) + self.c).clamp_min(0)

    def outputs(self) -> Tensor:
        """Return the answers to the four cases: [n, 4]."""
        return (self.hidden() * self.v).sum(2) + self.b

    def step(self, size: float) -> tuple["Networks", Tensor]:
        """Return the networks after one step down the gradient, and the losses [n] before it."""
        before = type(self)(*(weights.detach().requires_grad_() for weights in self.parameters))
        losses = (before.outputs() - Y.T).square().mean(1)
        gradients = torch.autograd.grad(losses.sum(), before.parameters)
        after = (weights.detach() - size * slope for weights, slope in zip(before.parameters, gradients, strict=True))
        return type(self)(*after), losses.detach()


@dataclass(frozen=True)
class Descent:
    """The networks at the end of gradient descent, and their losses at each step: [steps, n]."""

    networks: Networks
    losses: Tensor

    @property
    def solved(self) -> Tensor:
        """Return for each start whether it found XOR: [n]."""
        return (self.networks.outputs() - Y.T).abs().amax(1) < SOLVED_ERROR

    @property
    def solved_share(self) -> float:
        return float(self.solved.double().mean())

    @property
    def has_dead_unit(self) -> Tensor:
        """Return for each network whether it has a unit that no case activates, so that its gradient is zero: [n]."""
        return (self.networks.hidden() == 0).all(1).any(1)

    def stuck_near(self, loss: float) -> Tensor:
        """Return for each start whether it failed and ended near this loss: [n]."""
        return ~self.solved & ((self.losses[-1] - loss).abs() < PLATEAU_TOLERANCE)

    @property
    def integer_solutions(self) -> int:
        """Return how many of the solutions found consist of whole numbers."""
        solutions = torch.cat([weights[self.solved].flatten(1) for weights in self.networks.parameters], dim=1)
        return int(((solutions - solutions.round()).abs() < 0.01).all(1).sum())


def descend(networks: Networks, step_size: float, steps: int) -> Descent:
    """Minimize each network's mean squared error by gradient descent; each step sees all four cases."""
    losses = []
    for _ in range(steps):
        networks, loss = networks.step(step_size)
        losses.append(loss)
    return Descent(networks, torch.stack(losses))


def section(_: Lesson) -> Section:
    """Return the section."""
    descent = descend(Networks.random(RANDOM_STARTS, units=2), STEP_SIZE, GRADIENT_STEPS)
    compared = [(units, STEP_SIZE) for units in COMPARED_WIDTHS] + [(2, size) for size in COMPARED_STEP_SIZES]
    shares = [
        (units, size, descend(Networks.random(COMPARED_STARTS, units), size, GRADIENT_STEPS).solved_share)
        for units, size in compared
    ]
    stuck, dead = ~descent.solved, descent.has_dead_unit
    return Section(
        title="XOR by gradient descent",
        blocks=(
            "Nobody can guess the weights of a real network. Gradient descent starts at random weights and walks "
            f"downhill. Here {RANDOM_STARTS} networks with two hidden units, like the one above but with random "
            f"weights, take {GRADIENT_STEPS:,} steps of size {STEP_SIZE} down the gradient of the mean squared error "
            "over all four cases. This error is their loss.",
            _plot(descent),
            f"{descent.solved_share:.0%} of the networks find XOR. The others do not wander: each is stuck on one of "
            "three plateaus, where the gradient is zero although the answer is wrong. With steps of this size the "
            "start alone decides which one. The table counts the starts by their last answer. A unit is dead when none "
            "of the four cases activates it: its gradient is zero, so it never recovers.",
            _ends_table(descent),
            f"{int((dead & stuck).sum())} of the {int(stuck.sum())} stuck networks have a dead unit. With one unit "
            "left, a network is hardly more than the linear model. With more units it is likelier that enough of them "
            "survive. Large steps throw the weights about, kill more units and, larger still, diverge. Small steps "
            "are safe but slow. The next table shows how many starts find XOR with other widths and step sizes.",
            Table(
                ("Hidden units", "Step size", "Starts that find XOR"),
                [(str(units), f"{size:g}", f"{share:.1%}") for units, size, share in shares],
                f"{COMPARED_STARTS} starts each, {GRADIENT_STEPS:,} steps.",
            ),
        ),
        rows=_rows(descent, [share for _, _, share in shares]),
        code=("descent.Networks", "descent.descend", "descent.Descent"),
    )


def _rows(descent: Descent, shares: list[float]) -> tuple[Row, ...]:
    solved, starts, largest = int(descent.solved.sum()), len(descent.solved), COMPARED_STEP_SIZES[-1]
    return (
        Row(
            "XOR by descent: the initial values",
            "where descent converges depends on the initial values",
            f"{solved} of {starts} random starts find XOR",
            0 < solved < starts,
            "some starts find it and some do not",
        ),
        Row(
            "XOR by descent: the step size",
            "where descent converges depends on the step size",
            f"{shares[0]:.1%} of the same starts find it with steps of {STEP_SIZE}, {shares[-1]:.1%} with {largest}",
            shares[0] > shares[-1],
            "fewer find it with the larger steps",
        ),
        Row(
            "XOR by descent: the solutions",
            "usually not clean, integer-valued",
            f"{descent.integer_solutions} of {solved} are integer-valued",
            solved > 0 and descent.integer_solutions < solved / 2,
            "fewer than half are within 0.01 of whole numbers",
        ),
    )


def _ends_table(descent: Descent) -> Table:
    """Return the number of starts by where they ended."""

    def row(end: str, loss: str, which: Tensor) -> tuple[str, ...]:
        return end, loss, str(int(which.sum())), str(int((which & descent.has_dead_unit).sum()))

    plateaus = {loss: descent.stuck_near(loss) for loss in PLATEAUS}
    elsewhere = ~torch.stack([descent.solved, *plateaus.values()]).any(0)
    rows = [row("XOR", "0", descent.solved)]
    rows += [row(PLATEAUS[loss], f"1/{round(1 / loss)}", which) for loss, which in plateaus.items()]
    rows += [row("elsewhere, or still moving", "", elsewhere)] if elsewhere.any() else []
    return Table(("Answer", "Loss", "Starts", "With a dead unit"), rows, "Where the starts end.")


def _plot(descent: Descent) -> Plot:
    steps = torch.logspace(0, math.log10(len(descent.losses)), 100).long().unique()

    def paint(axes: list[Axes]) -> None:
        for which, color, name in ((~descent.solved, COLORS[1], "stuck"), (descent.solved, COLORS[0], "found XOR")):
            losses = descent.losses[steps - 1][:, which][:, :PLOTTED_STARTS]
            lines = axes[0].plot(steps.tolist(), losses.tolist(), color=color, linewidth=0.7, alpha=0.6)
            for line in lines[:1]:  # one entry in the legend stands for all
                line.set_label(name)
        axes[0].set(xlabel="step", ylabel="mean squared error", xscale="log", ylim=(-0.02, 0.6))
        axes[0].set_yticks([0, *PLATEAUS, 0.5], ["0", *(f"1/{round(1 / loss)}" for loss in PLATEAUS), "1/2"])
        axes[0].legend()

    caption = f"The loss of the first {PLOTTED_STARTS} starts that find XOR and of as many that do not."
    return draw(paint, "Loss by step for many random starts", caption)
