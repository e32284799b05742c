"""XOR by hand: the linear model fails, the lecture's network succeeds."""

from functools import cache

import onnx
import torch
from matplotlib.axes import Axes
from torch import Tensor, nn

from serving.model.runtime import open_session
from training.figure import COLORS
from training.graph.onnx_export import export
from training.lecture.agreement import exactly, nearly, to_value
from training.lecture.plots import draw
from training.lecture.section import Lesson, Matrices, Plot, Section

X = torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=torch.float64)
Y = torch.tensor([[0], [1], [1], [0]], dtype=torch.float64)

# The lecture's solution of max{0, XW + c} w + b.
W = torch.tensor([[1, 1], [1, 1]], dtype=torch.float64)
C = torch.tensor([0, -1], dtype=torch.float64)
V = torch.tensor([[1], [-2]], dtype=torch.float64)  # the lecture's lowercase w
B = torch.tensor([0], dtype=torch.float64)


def least_squares(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return beta [d, 1] and alpha [1] of the linear model y = x beta + alpha with the least squared error.

    The gradient of that error is zero where (Z'Z) solution = Z'y, with Z = [x, 1].
    """
    z = torch.cat([x, torch.ones(len(x), 1, dtype=x.dtype)], dim=1)
    solution = torch.linalg.solve(z.T @ z, z.T @ y)
    return solution[:-1], solution[-1]


def steps() -> dict[str, Tensor]:
    """Return the lecture's calculation, step by step."""
    weighted = X @ W
    shifted = weighted + C
    hidden = shifted.clamp_min(0)
    return {"XW": weighted, "XW + c": shifted, "max{0, XW + c}": hidden, "ŷ": hidden @ V + B}


def network() -> nn.Sequential:
    """Return the lecture's solution as a PyTorch network in float32, whose layers hold their weights transposed."""
    layers = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1))
    layers.load_state_dict({"0.weight": W.T, "0.bias": C, "2.weight": V.T, "2.bias": B})
    return layers


@cache
def to_onnx() -> onnx.ModelProto:
    """Return the network as an ONNX graph from propositions [batch, 2] to truth [batch, 1]."""
    return export(network(), (2,), torch.float32, "propositions", ["truth"])


def run_onnx(graph: onnx.ModelProto) -> Tensor:
    """Return a graph's answers to the four cases, computed by onnxruntime: [4, 1]."""
    (truth,) = open_session(graph.SerializeToString()).run(["truth"], {"propositions": X.float().numpy()})
    return torch.from_numpy(truth)


def section(_: Lesson) -> Section:
    """Return the section."""
    beta, alpha = least_squares(X, Y)
    found = steps()
    return Section(
        title="XOR by hand",
        blocks=(
            "Exclusive or (XOR) is true when exactly one of two propositions, p and q, is true. No straight line "
            "separates its true cases from its false ones. The best that the linear model `y = Xβ + α` can do is to "
            "answer ½ in all four cases: p alone says nothing about the answer, nor does q alone, so both weights in β "
            "are zero.",
            "One hidden layer of two rectified linear units (ReLU, `max{0, z}`) is enough. The first unit counts the "
            "true propositions. The second is active only when both are true. The output is the first minus twice the "
            "second. The lecture writes the network as `ŷ = max{0, XW + c} w + b`. Each row of X is one of the four "
            "cases; all weights in W are 1, `c = (0, -1)`, `w = (1, -2)` and `b = 0`. Step by step:",
            Matrices([("X", X), *found.items()], "Each row is one of the four cases. ŷ is right in all of them."),
            _plot(found["max{0, XW + c}"]),
            "The hidden layer has moved the points: (0, 1) and (1, 0) are now one point, and a line separates true "
            "from false. This is the purpose of hidden layers. The file `xor.onnx` beside this report is the network "
            "in ONNX, a format in which networks are exchanged.",
        ),
        rows=(
            nearly("XOR, linear model: β", (0, 0), to_value(beta.flatten())),
            nearly("XOR, linear model: α", 0.5, float(alpha)),
            exactly("XOR, network: XW", ((0, 0), (1, 1), (1, 1), (2, 2)), to_value(found["XW"])),
            exactly("XOR, network: XW + c", ((0, -1), (1, 0), (1, 0), (2, 1)), to_value(found["XW + c"])),
            exactly(
                "XOR, network: max{0, XW + c}", ((0, 0), (1, 0), (1, 0), (2, 1)), to_value(found["max{0, XW + c}"])
            ),
            exactly("XOR, network: ŷ", (0, 1, 1, 0), to_value(found["ŷ"].flatten())),
            exactly("XOR, network in ONNX: ŷ", (0, 1, 1, 0), to_value(run_onnx(to_onnx()).flatten())),
        ),
        code=("xor.least_squares", "xor.steps", "xor.network", "xor.to_onnx"),
    )


def _plot(hidden: Tensor) -> Plot:
    def paint(axes: list[Axes]) -> None:
        for place, points in zip(axes, (X, hidden), strict=True):
            for truth, marker, name in ((0, "o", "false"), (1, "s", "true")):
                chosen = points[Y.flatten() == truth].T
                place.plot(*chosen.tolist(), marker, color=COLORS[truth], markersize=11, label=name)
            place.legend(loc="upper left")
            place.set(aspect="equal", xlim=(-0.5, 2.5), ylim=(-0.5, 1.7), xticks=(0, 1, 2), yticks=(0, 1))
        axes[0].set(xlabel="p", ylabel="q", title="inputs: no line separates them")
        axes[1].plot([-0.5, 2.5], [-0.5, 1.0], "--", color=COLORS[5], label="h₁ - 2h₂ = ½")
        axes[1].legend(loc="upper left")
        axes[1].set(xlabel="h₁", ylabel="h₂", title="hidden units: a line separates them")

    alt = "The four cases of XOR before and after the hidden layer"
    return draw(paint, alt, "The four cases by their inputs p and q, and by their hidden units h₁ and h₂.", columns=2)
