"""Universal approximation: a function on a line, nearer and nearer as the hidden layer grows."""

from dataclasses import dataclass

import torch
from matplotlib.axes import Axes
from torch import Tensor, nn

from training.lecture.agreement import Row
from training.lecture.plots import COLOURS, draw
from training.lecture.section import Lesson, Plot, Section

UNITS = (2, 4, 8, 16, 32, 64)
SHOWN = (4, 8, 16)
POINTS = 400
MARGIN = 0.1  # by which the units overlap the line at either end
STEPS = 1_000  # of descent
STEEPNESS = 10  # deviation of the weights that it starts from


def target(x: Tensor) -> Tensor:
    """Return the function to be approximated, on [0, 1]."""
    return torch.sin(2 * torch.pi * x) + 0.4 * torch.sin(6 * torch.pi * x)


@dataclass(frozen=True)
class Fit:
    """What a network makes of the line, and its largest errors: in the values and in the derivatives."""

    y: Tensor
    error: float
    slope_error: float

    @classmethod
    def of(cls, network: nn.Module, x: Tensor) -> "Fit":
        """Hold a network against the target."""
        x = x.clone().requires_grad_()
        y, wanted = network(x), target(x)
        slopes = [torch.autograd.grad(values.sum(), x)[0] for values in (y, wanted)]
        error, slope_error = (float((one - other).detach().abs().max()) for one, other in ((y, wanted), slopes))
        return cls(y.detach(), error, slope_error)


def line() -> Tensor:
    """Return the points at which networks are fitted and measured: [n, 1]."""
    return torch.linspace(0, 1, POINTS, dtype=torch.float64)[:, None]


def placed(x: Tensor, units: int) -> nn.Module:
    """Return a network with sigmoids set side by side along the line, whose output layer is least squares.

    The hidden layer is chosen, not learned: each unit rises a little further on than the one before it.
    """
    steepness = units / (1 + 2 * MARGIN)
    hidden = nn.Linear(1, units, dtype=x.dtype)
    hidden.weight.data.fill_(steepness)
    hidden.bias.data = -steepness * torch.linspace(-MARGIN, 1 + MARGIN, units, dtype=x.dtype)
    return _with_best_output(hidden, x)


def learned(x: Tensor, units: int, steps: int) -> nn.Module:
    """Return a network of sigmoids of which every weight is learned by descent (Adam) from a random start."""
    torch.manual_seed(0)
    hidden, output = nn.Linear(1, units, dtype=x.dtype), nn.Linear(units, 1, dtype=x.dtype)
    nn.init.normal_(hidden.weight, std=STEEPNESS)
    hidden.bias.data = -hidden.weight.data[:, 0] * torch.rand(units, dtype=x.dtype)  # each rises or falls on the line
    network = nn.Sequential(hidden, nn.Sigmoid(), output)
    optimiser = torch.optim.Adam(network.parameters(), lr=0.03)
    for _ in range(steps):
        optimiser.zero_grad()
        (network(x) - target(x)).square().mean().backward()
        optimiser.step()
    return network


def section(_: Lesson) -> Section:
    """Return the section."""
    x = line()
    built = {count: Fit.of(placed(x, count), x) for count in UNITS}
    found = {count: Fit.of(learned(x, count, STEPS), x) for count in UNITS}
    most = max(UNITS)
    return Section(
        title="Universal approximation",
        blocks=(
            "One hidden layer of squashing units can come as near to any reasonable function as one likes, if only "
            "it is wide enough. One way to see it: sigmoids side by side make a staircase, the output layer chooses "
            "the height of each step, and narrower steps follow the function better; so do their slopes its slope.",
            _curves(x, built),
            "That such weights exist does not say that descent finds them. Below, all weights are learned as well, in "
            f"{STEPS:,} steps from a random start. With few units this does as well as placing them; with many it is "
            "far behind what the same network can represent.",
            _errors(built, found),
        ),
        rows=(
            _falls("Universal approximation: the function", {count: fit.error for count, fit in built.items()}),
            _falls("Universal approximation: the derivative", {count: fit.slope_error for count, fit in built.items()}),
            Row(
                "Universal approximation: learning",
                "the training algorithm may not be able to find the parameters",
                f"largest error with {most} units {found[most].error:.2g} learned, {built[most].error:.2g} placed",
                found[most].error > 10 * built[most].error,
                "more than ten times as large when learned as when placed",
            ),
        ),
        names=("approximation.placed", "approximation.learned"),
    )


def _with_best_output(hidden: nn.Linear, x: Tensor) -> nn.Module:
    activity = torch.sigmoid(hidden(x)).detach()
    design = torch.cat([activity, torch.ones_like(x)], dim=1)
    solution = torch.linalg.lstsq(design, target(x), driver="gelsd").solution
    output = nn.Linear(hidden.out_features, 1, dtype=x.dtype)
    output.weight.data, output.bias.data = solution[:-1].T, solution[-1]
    return nn.Sequential(hidden, nn.Sigmoid(), output)


def _falls(item: str, errors: dict[int, float]) -> Row:
    found = list(errors.values())
    return Row(
        item,
        "arbitrarily well, given enough hidden units",
        "largest error " + ", ".join(f"{error:.2g} with {count}" for count, error in errors.items()),
        found[-1] < found[0] / 100,
        "with the most units less than a hundredth of that with the fewest",
    )


def _curves(x: Tensor, fits: dict[int, Fit]) -> Plot:
    def paint(axes: list[Axes]) -> None:
        shown = [count for count in SHOWN if count in fits]
        for place, count in zip(axes, shown, strict=False):
            place.plot(x.flatten().tolist(), target(x).flatten().tolist(), color=COLOURS[5], label="function")
            place.plot(x.flatten().tolist(), fits[count].y.flatten().tolist(), "--", color=COLOURS[0], label="network")
            place.set(title=f"{count} hidden units", xlabel="x", ylabel="y" if place is axes[0] else "")
        axes[0].legend()

    return draw(paint, "A function and networks of growing width", "Sigmoids placed side by side.", columns=len(SHOWN))


def _errors(built: dict[int, Fit], found: dict[int, Fit]) -> Plot:
    def paint(axes: list[Axes]) -> None:
        for fits, colour, name in (
            (built, COLOURS[0], "placed side by side"),
            (found, COLOURS[1], "learned by descent"),
        ):
            axes[0].plot(list(fits), [fit.error for fit in fits.values()], "o-", color=colour, label=name)
        axes[0].set(xlabel="hidden units", ylabel="largest error", xscale="log", yscale="log")
        axes[0].set_xticks(list(built), [str(count) for count in built])
        axes[0].minorticks_off()
        axes[0].legend()

    return draw(paint, "The largest error by the number of hidden units", "Both axes are logarithmic.")
