"""Universal approximation: a function on a line, and the error of networks of growing width."""

from dataclasses import dataclass

import torch
from matplotlib.axes import Axes
from torch import Tensor, nn

from training.figure import COLORS
from training.lecture.agreement import Row
from training.lecture.plots import draw
from training.lecture.section import Lesson, Plot, Section

WIDTHS = (2, 4, 8, 16, 32, 64)
PLOTTED_WIDTHS = (4, 8, 16)
SAMPLE_POINTS = 400
SPAN_MARGIN = 0.1  # the placed units reach this far beyond both ends of the line
ADAM_STEPS = 1_000
INITIAL_WEIGHT_STD = 10


def target(x: Tensor) -> Tensor:
    """Return the function to approximate, on [0, 1]."""
    return torch.sin(2 * torch.pi * x) + 0.4 * torch.sin(6 * torch.pi * x)


@dataclass(frozen=True)
class Approximation:
    """A network's values on the line, and its largest errors in the values and in the derivatives."""

    y: Tensor
    error: float
    derivative_error: float

    @classmethod
    def measure(cls, network: nn.Module, x: Tensor) -> "Approximation":
        """Compare a network with the target."""
        x = x.clone().requires_grad_()
        y, expected = network(x), target(x)
        derivatives = [torch.autograd.grad(values.sum(), x)[0] for values in (y, expected)]
        pairs = ((y, expected), derivatives)
        error, derivative_error = (float((one - other).detach().abs().max()) for one, other in pairs)
        return cls(y.detach(), error, derivative_error)


def sample_points() -> Tensor:
    """Return the points on which networks are fitted and measured: [n, 1]."""
    return torch.linspace(0, 1, SAMPLE_POINTS, dtype=torch.float64)[:, None]


def placed_network(x: Tensor, units: int) -> nn.Module:
    """Return a network whose sigmoids stand side by side along the line; least squares gives its output layer.

    Its hidden layer is chosen, not learned: each unit rises a little to the right of the one before it.
    """
    steepness = units / (1 + 2 * SPAN_MARGIN)
    hidden = nn.Linear(1, units, dtype=x.dtype)
    hidden.weight.data.fill_(steepness)
    hidden.bias.data = -steepness * torch.linspace(-SPAN_MARGIN, 1 + SPAN_MARGIN, units, dtype=x.dtype)
    return _with_best_output(hidden, x)


def learned_network(x: Tensor, units: int, steps: int) -> nn.Module:
    """Return a network of sigmoids whose weights are all learned by Adam from a random start."""
    torch.manual_seed(0)
    hidden, output = nn.Linear(1, units, dtype=x.dtype), nn.Linear(units, 1, dtype=x.dtype)
    nn.init.normal_(hidden.weight, std=INITIAL_WEIGHT_STD)
    # Each unit rises or falls somewhere on the line.
    hidden.bias.data = -hidden.weight.data[:, 0] * torch.rand(units, dtype=x.dtype)
    network = nn.Sequential(hidden, nn.Sigmoid(), output)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.03)
    for _ in range(steps):
        optimizer.zero_grad()
        (network(x) - target(x)).square().mean().backward()
        optimizer.step()
    return network


def section(_: Lesson) -> Section:
    """Return the section."""
    x = sample_points()
    placed = {width: Approximation.measure(placed_network(x, width), x) for width in WIDTHS}
    learned = {width: Approximation.measure(learned_network(x, width, ADAM_STEPS), x) for width in WIDTHS}
    widest = max(WIDTHS)
    return Section(
        title="Universal approximation",
        blocks=(
            "One hidden layer of squashing units can come as near to any reasonable function as one likes, provided "
            "that it is wide enough. This is the universal approximation theorem. One way to see it: sigmoids side by "
            "side make a staircase, and the output layer chooses the height of each step. Narrower steps follow the "
            "function better, and their derivative follows its derivative better.",
            _curves_plot(x, placed),
            "The theorem says that such weights exist. It does not say that training finds them. The next figure "
            "compares placed units with networks that learn all their weights, in "
            f"{ADAM_STEPS:,} steps from a random start. With few units, learning does as well as placing. With many, "
            "it stays far behind what the same network can represent.",
            _errors_plot(placed, learned),
        ),
        rows=(
            _width_row("Universal approximation: the function", {width: fit.error for width, fit in placed.items()}),
            _width_row(
                "Universal approximation: the derivative",
                {width: fit.derivative_error for width, fit in placed.items()},
            ),
            Row(
                "Universal approximation: learning",
                "the training algorithm may not be able to find the parameters",
                f"largest error with {widest} units {learned[widest].error:.2g} learned, "
                f"{placed[widest].error:.2g} placed",
                learned[widest].error > 10 * placed[widest].error,
                "more than ten times as large when learned as when placed",
            ),
        ),
        code=("approximation.placed_network", "approximation.learned_network"),
    )


def _with_best_output(hidden: nn.Linear, x: Tensor) -> nn.Module:
    activations = torch.sigmoid(hidden(x)).detach()
    design = torch.cat([activations, torch.ones_like(x)], dim=1)
    solution = torch.linalg.lstsq(design, target(x), driver="gelsd").solution
    output = nn.Linear(hidden.out_features, 1, dtype=x.dtype)
    output.weight.data, output.bias.data = solution[:-1].T, solution[-1]
    return nn.Sequential(hidden, nn.Sigmoid(), output)


def _width_row(item: str, errors: dict[int, float]) -> Row:
    found = list(errors.values())
    return Row(
        item,
        "arbitrarily well, given enough hidden units",
        "largest error " + ", ".join(f"{error:.2g} with {width}" for width, error in errors.items()) + " units",
        found[-1] < found[0] / 100,
        "the most units have less than a hundredth of the error of the fewest",
    )


def _curves_plot(x: Tensor, fits: dict[int, Approximation]) -> Plot:
    def paint(axes: list[Axes]) -> None:
        widths = [width for width in PLOTTED_WIDTHS if width in fits]
        for place, width in zip(axes, widths, strict=False):
            place.plot(x.flatten().tolist(), target(x).flatten().tolist(), color=COLORS[5], label="function")
            place.plot(x.flatten().tolist(), fits[width].y.flatten().tolist(), "--", color=COLORS[0], label="network")
            place.set(title=f"{width} hidden units", xlabel="x", ylabel="y" if place is axes[0] else "")
        axes[0].legend()

    caption = "A function, and networks whose sigmoids are placed side by side."
    return draw(paint, "A function and networks of growing width", caption, columns=len(PLOTTED_WIDTHS))


def _errors_plot(placed: dict[int, Approximation], learned: dict[int, Approximation]) -> Plot:
    def paint(axes: list[Axes]) -> None:
        for fits, color, name in (
            (placed, COLORS[0], "placed side by side"),
            (learned, COLORS[1], "learned by gradient descent"),
        ):
            axes[0].plot(list(fits), [fit.error for fit in fits.values()], "o-", color=color, label=name)
        axes[0].set(xlabel="hidden units", ylabel="largest error", xscale="log", yscale="log")
        axes[0].set_xticks(list(placed), [str(width) for width in placed])
        axes[0].minorticks_off()
        axes[0].legend()

    alt = "The largest error by the number of hidden units"
    return draw(paint, alt, "The largest error on the line. Both axes are logarithmic.")
