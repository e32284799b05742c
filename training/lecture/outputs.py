"""Output units: linear, sigmoid and softmax, each with the loss that fits it, on a small example of each."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from matplotlib.axes import Axes
from sklearn.datasets import load_iris
from torch import Tensor, nn
from torch.nn import functional

from training.lecture.agreement import Row
from training.lecture.plots import COLOURS, draw
from training.lecture.section import Grid, Lesson, Plot, Section
from training.lecture.xor import least_squares

Loss = Callable[[Tensor, Tensor], Tensor]  # of what comes before the output unit, [n, outputs], and the targets


def squared(z: Tensor, y: Tensor) -> Tensor:
    """Return half the mean squared error of a linear output: the loss of a normal distribution around it."""
    return (z - y).square().mean() / 2


@dataclass(frozen=True)
class Example:
    """Data x [n, d], targets, and an output unit with its loss."""

    x: Tensor
    y: Tensor
    outputs: int
    loss: Loss

    def solved(self, steps: int = 200) -> nn.Linear:
        """Return the layer before the output unit with the least loss, by quasi-Newton descent."""
        layer = nn.Linear(self.x.shape[1], self.outputs, dtype=self.x.dtype)
        nn.init.zeros_(layer.weight)
        optimiser = torch.optim.LBFGS(layer.parameters(), max_iter=steps, line_search_fn="strong_wolfe")

        def loss() -> Tensor:
            optimiser.zero_grad()
            now = self.loss(layer(self.x), self.y)
            now.backward()
            return now

        optimiser.step(loss)
        return layer.requires_grad_(False)


def regression(n: int = 200) -> Example:
    """Return points scattered about the line y = 2x - 1."""
    generator = torch.Generator().manual_seed(0)
    x, noise = torch.randn(2, n, 1, generator=generator, dtype=torch.float64)
    return Example(x, 2 * x - 1 + 0.5 * noise, 1, squared)


def two_classes(n: int = 100_000) -> Example:
    """Return points around -1 and around 1 with deviation 1, of which the second are 1: P(1 | x) is sigmoid(2x)."""
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(n, dtype=torch.float64)[:, None] % 2
    x = 2 * y - 1 + torch.randn(n, 1, generator=generator, dtype=torch.float64)
    return Example(x, y, 1, functional.binary_cross_entropy_with_logits)


def three_classes() -> Example:
    """Return the 150 irises of three kinds that scikit-learn brings along, their measures standardised."""
    measures, kinds = load_iris(return_X_y=True)
    x = torch.from_numpy(measures)
    return Example((x - x.mean(0)) / x.std(0), torch.from_numpy(kinds).long(), 3, functional.cross_entropy)


def slope(loss: Loss, z: Tensor, y: Tensor) -> Tensor:
    """Return the gradient of the summed losses with respect to z, what comes before the output unit."""
    z = z.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(z, y) * len(z), z)
    return gradient


def section(_: Lesson) -> Section:
    """Return the section."""
    line, pair, irises = regression(), two_classes(), three_classes()
    fitted = [example.solved() for example in (line, pair, irises)]
    return Section(
        title="Output units",
        blocks=(
            "The output unit says what kind of answer is wanted, and the loss follows from it: it is the distance "
            "between the distribution of the data and that of the model. A number: linear, with squared error. Yes or "
            "no: sigmoid, with binary cross-entropy. One of many: softmax, with cross-entropy.",
            Grid(
                ("Output unit", "Loss", "Example", "What is learned"),
                [
                    ("linear", "squared error", "200 points about y = 2x - 1", _linear(fitted[0])),
                    ("sigmoid", "binary cross-entropy", "two overlapping heaps of 50,000", _linear(fitted[1])),
                    ("softmax", "cross-entropy", "150 irises of three kinds", f"{accuracy(irises, fitted[2]):.1%}"),
                ],
                "z is what comes before the output unit; of the irises, the share named rightly.",
            ),
            "Why these pairs? Because the gradient with respect to what comes before the output unit is then simply "
            "`answer - truth`, for all three: the more wrong, the harder the pull. A sigmoid with squared error pulls "
            "least where it is most wrong, for there the sigmoid is flat.",
            _plot(),
        ),
        rows=(*_fits(line, pair, irises, fitted), _coupled(line, pair, irises)),
        names=("outputs.Example", "outputs.regression", "outputs.two_classes", "outputs.three_classes"),
    )


def _fits(line: Example, pair: Example, irises: Example, fitted: list[nn.Linear]) -> tuple[Row, ...]:
    beta, alpha = least_squares(line.x, line.y)
    off = max(float((fitted[0].weight - beta).abs()), float((fitted[0].bias - alpha).abs()))
    chances, weight = torch.sigmoid(fitted[1](pair.x)), float(fitted[1].weight)
    inside = bool(((chances > 0) & (chances < 1)).all())
    shares, right = torch.softmax(fitted[2](irises.x), dim=1), accuracy(irises, fitted[2])
    sums = float((shares.sum(1) - 1).abs().max())
    return (
        Row(
            "Linear output",
            "y = W'h + b, any real number",
            f"the least-squares line but for {off:.2g}",
            off < 1e-6,
            "within 1e-6 of the solution in closed form",
        ),
        Row(
            "Sigmoid output",
            "1 / (1 + exp(-x)), for classification as 0 or 1",
            f"probabilities {'between 0 and 1' if inside else 'out of bounds'}: sigmoid({weight:.3f} x)",
            inside and abs(weight - 2) < 0.05,
            "between 0 and 1, and within 0.05 of the true P(1 | x) = sigmoid(2 x)",
        ),
        Row(
            "Softmax output",
            "exp(x) / Σ exp(x), for classification as one of many",
            f"probabilities whose sum is 1 but for {sums:.2g}; {right:.1%} of the irises right",
            sums < 1e-12 and right > 0.95,
            "sum 1, and more than 95% right",
        ),
    )


def _coupled(line: Example, pair: Example, irises: Example) -> Row:
    """Return the row that holds the gradient of each output unit and its loss against answer - truth."""
    generator = torch.Generator().manual_seed(1)
    answers: list[tuple[Example, Callable[[Tensor], Tensor], Tensor]] = [
        (line, lambda z: z, line.y),
        (pair, torch.sigmoid, pair.y),
        (irises, lambda z: z.softmax(1), functional.one_hot(irises.y, 3)),
    ]
    off = 0.0
    for example, unit, truth in answers:
        z = torch.randn(len(example.x), example.outputs, generator=generator, dtype=torch.float64)
        off = max(off, float((slope(example.loss, z, example.y) - (unit(z) - truth)).abs().max()))
    return Row(
        "Output units and losses",
        "the choice of cost function is tightly coupled with the choice of output unit",
        f"for each pair the gradient is answer - truth, but for {off:.2g}",
        off < 1e-9,
        "within 1e-9, for rounding, at random z",
    )


def accuracy(example: Example, layer: nn.Linear) -> float:
    """Return the share of the targets that are the largest output."""
    return float((layer(example.x).argmax(1) == example.y).double().mean())


def _linear(layer: nn.Linear) -> str:
    weight, bias = float(layer.weight), float(layer.bias)
    return f"z = {weight:.3f} x {'-' if bias < 0 else '+'} {abs(bias):.3f}"


def _plot() -> Plot:
    z = torch.linspace(-8, 8, 161, dtype=torch.float64)[:, None]
    truth = torch.ones_like(z)

    def mismatched(z: Tensor, y: Tensor) -> Tensor:
        return squared(torch.sigmoid(z), y)

    def paint(axes: list[Axes]) -> None:
        losses: dict[str, Loss] = {
            "cross-entropy": functional.binary_cross_entropy_with_logits,
            "squared error": mismatched,
        }
        for (name, loss), colour in zip(losses.items(), COLOURS, strict=False):
            pull = -slope(loss, z, truth)
            axes[0].plot(z.flatten().tolist(), pull.flatten().tolist(), color=colour, label=f"sigmoid with {name}")
        axes[0].set(xlabel="z, before the sigmoid (the truth is 1: far left is very wrong)", ylabel="pull towards 1")
        axes[0].legend()

    alt = "The gradient of two losses of a sigmoid output"
    return draw(paint, alt, "How hard the loss pulls at a sigmoid output whose answer should be 1.")
