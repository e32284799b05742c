"""Output units: linear, sigmoid and softmax, each with the loss that belongs to it, on a small example."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from matplotlib.axes import Axes
from sklearn.datasets import load_iris
from torch import Tensor, nn
from torch.nn import functional

from training.figure import COLORS
from training.lecture.agreement import Row
from training.lecture.plots import draw
from training.lecture.section import Lesson, Plot, Section, Table
from training.lecture.xor import least_squares
from training.regression import minimize

Loss = Callable[[Tensor, Tensor], Tensor]  # of the output unit's input z [n, outputs] and the targets


def squared_error(z: Tensor, y: Tensor) -> Tensor:
    """Return half the mean squared error: up to a constant, the negative log-likelihood of a normal distribution."""
    return (z - y).square().mean() / 2


@dataclass(frozen=True)
class Example:
    """Inputs x [n, d], targets y, and the loss of an output unit."""

    x: Tensor
    y: Tensor
    outputs: int
    loss: Loss

    def train_layer(self) -> nn.Linear:
        """Return the linear layer before the output unit with the least loss, found by L-BFGS."""
        layer = nn.Linear(self.x.shape[1], self.outputs, dtype=self.x.dtype)
        for weights in layer.parameters():
            nn.init.zeros_(weights)
        minimize(lambda: self.loss(layer(self.x), self.y), layer.parameters(), max_iterations=200)
        return layer.requires_grad_(False)


def regression() -> Example:
    """Return 200 points scattered about the line y = 2x - 1."""
    generator = torch.Generator().manual_seed(0)
    x, noise = torch.randn(2, 200, 1, generator=generator, dtype=torch.float64)
    return Example(x, 2 * x - 1 + 0.5 * noise, 1, squared_error)


def two_classes() -> Example:
    """Return 50,000 of class 0 around -1 and of class 1 around 1, with deviation 1, so that P(1 | x) = sigmoid(2x)."""
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(100_000, dtype=torch.float64)[:, None] % 2
    x = 2 * y - 1 + torch.randn(len(y), 1, generator=generator, dtype=torch.float64)
    return Example(x, y, 1, functional.binary_cross_entropy_with_logits)


def three_classes() -> Example:
    """Return scikit-learn's 150 irises of three species, with standardized measurements."""
    measurements, species = load_iris(return_X_y=True)
    x = torch.from_numpy(measurements)
    return Example((x - x.mean(0)) / x.std(0), torch.from_numpy(species).long(), 3, functional.cross_entropy)


def gradient(loss: Loss, z: Tensor, y: Tensor) -> Tensor:
    """Return the gradient of the summed losses with respect to the output unit's input z."""
    z = z.detach().requires_grad_()
    (slopes,) = torch.autograd.grad(loss(z, y) * len(z), z)
    return slopes


def accuracy(example: Example, layer: nn.Linear) -> float:
    """Return the share of the inputs whose largest output is that of the target."""
    return float((layer(example.x).argmax(1) == example.y).double().mean())


def section(_: Lesson) -> Section:
    """Return the section."""
    line, pair, irises = regression(), two_classes(), three_classes()
    layers = [example.train_layer() for example in (line, pair, irises)]
    right = f"{accuracy(irises, layers[2]):.1%} of the irises right"
    return Section(
        title="Output units",
        blocks=(
            "The output unit decides which kind of answer the network gives, and the loss follows from it: it measures "
            "the distance between the distribution of the data and that of the model. For a number, take a linear "
            "output with squared error; for yes or no, a sigmoid with binary cross-entropy; for one of many classes, "
            "softmax with cross-entropy.",
            "The table shows each of the three pairs of output unit and loss on a small example, and the result of "
            "training, on the very data that it learned from. Here x is the input and z the weighted sum that goes "
            "into the output unit. In the second example the true solution is `z = 2x`.",
            Table(
                ("Output unit", "Loss", "Example", "Result"),
                [
                    ("linear", "squared error", "200 points about y = 2x - 1", _equation(layers[0])),
                    ("sigmoid", "binary cross-entropy", "two overlapping classes of 50,000", _equation(layers[1])),
                    ("softmax", "cross-entropy", "150 irises of three species", right),
                ],
                "Three output units, each with its loss.",
            ),
            "Why these pairs? For all three, the gradient with respect to z is simply `answer - truth`: the more wrong "
            "the answer, the harder the pull. A sigmoid with squared error hardly pulls where it is most wrong, since "
            "the sigmoid is flat there.",
            _plot(),
        ),
        rows=(*_unit_rows(line, pair, irises, layers), _coupling_row(line, pair, irises)),
        code=("outputs.Example", "outputs.regression", "outputs.two_classes", "outputs.three_classes"),
    )


def _unit_rows(line: Example, pair: Example, irises: Example, layers: list[nn.Linear]) -> tuple[Row, ...]:
    beta, alpha = least_squares(line.x, line.y)
    difference = max(float((layers[0].weight - beta).abs()), float((layers[0].bias - alpha).abs()))
    chances, weight = torch.sigmoid(layers[1](pair.x)), float(layers[1].weight)
    inside = bool(((chances > 0) & (chances < 1)).all())
    probabilities, right = torch.softmax(layers[2](irises.x), dim=1), accuracy(irises, layers[2])
    sum_error = float((probabilities.sum(1) - 1).abs().max())
    return (
        Row(
            "Linear output",
            "y = W'h + b, any real number",
            f"the least-squares line, with a difference of {difference:.2g}",
            difference < 1e-6,
            "within 1e-6 of the solution in closed form",
        ),
        Row(
            "Sigmoid output",
            "1 / (1 + exp(-x)), for classification as 0 or 1",
            f"probabilities {'between 0 and 1' if inside else 'out of bounds'}: sigmoid({weight:.3f} x)",
            inside and abs(weight - 2) < 0.05,
            "between 0 and 1; the weight within 0.05 of the true P(1 | x) = sigmoid(2 x)",
        ),
        Row(
            "Softmax output",
            "exp(x) / Σ exp(x), for classification as one of many",
            f"probabilities that sum to 1, with a difference of {sum_error:.2g}; {right:.1%} of the irises right",
            sum_error < 1e-12 and right > 0.95,
            "sum 1 within 1e-12, and more than 95% right",
        ),
    )


def _coupling_row(line: Example, pair: Example, irises: Example) -> Row:
    """Return the row that compares the gradient of each pair with answer - truth."""
    generator = torch.Generator().manual_seed(1)
    pairs: list[tuple[Example, Callable[[Tensor], Tensor], Tensor]] = [
        (line, lambda z: z, line.y),
        (pair, torch.sigmoid, pair.y),
        (irises, lambda z: z.softmax(1), functional.one_hot(irises.y, 3)),
    ]
    difference = 0.0
    for example, unit, truth in pairs:
        z = torch.randn(len(example.x), example.outputs, generator=generator, dtype=torch.float64)
        found = gradient(example.loss, z, example.y)
        difference = max(difference, float((found - (unit(z) - truth)).abs().max()))
    return Row(
        "Output units and losses",
        "the choice of cost function is tightly coupled with the choice of output unit",
        f"the gradient of each pair is answer - truth, with a difference of {difference:.2g}",
        difference < 1e-9,
        "within 1e-9, for rounding, at random z",
    )


def _equation(layer: nn.Linear) -> str:
    weight, bias = float(layer.weight), float(layer.bias)
    return f"z = {weight:.3f} x {'-' if bias < 0 else '+'} {abs(bias):.3f}"


def _plot() -> Plot:
    z = torch.linspace(-8, 8, 161, dtype=torch.float64)[:, None]
    truth = torch.ones_like(z)

    def mismatched(z: Tensor, y: Tensor) -> Tensor:
        return squared_error(torch.sigmoid(z), y)

    def paint(axes: list[Axes]) -> None:
        losses: dict[str, Loss] = {
            "cross-entropy": functional.binary_cross_entropy_with_logits,
            "squared error": mismatched,
        }
        for (name, loss), color in zip(losses.items(), COLORS, strict=False):
            pull = -gradient(loss, z, truth)
            axes[0].plot(z.flatten().tolist(), pull.flatten().tolist(), color=color, label=f"sigmoid with {name}")
        axes[0].set(xlabel="z; the truth is 1, so the answer is very wrong at the left", ylabel="pull toward 1")
        axes[0].legend()

    alt = "The gradient of two losses of a sigmoid output"
    return draw(paint, alt, "The pull (negative gradient) of two losses on a sigmoid whose answer should be 1.")
