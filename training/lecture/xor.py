"""XOR by hand: the linear model that fails, and the lecture's network that does not."""

import onnx
import onnxruntime
import torch
from matplotlib.axes import Axes
from torch import Tensor, nn

from training.graph import export
from training.lecture.agreement import exactly, nearly, values
from training.lecture.plots import COLOURS, draw
from training.lecture.section import Lesson, Matrices, Plot, Section

X = torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=torch.float64)
Y = torch.tensor([[0], [1], [1], [0]], dtype=torch.float64)

# The lecture's solution of max{0, XW + c} w + b.
W = torch.tensor([[1, 1], [1, 1]], dtype=torch.float64)
C = torch.tensor([0, -1], dtype=torch.float64)
V = torch.tensor([[1], [-2]], dtype=torch.float64)  # the lecture's small w
B = torch.tensor([0], dtype=torch.float64)


def least_squares(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return beta [d, 1] and alpha [1] of the linear model y = x beta + alpha with the least squared error.

    Where its gradient is zero, (Z'Z) solution = Z'y, for Z = [x, 1].
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
    """Return the same as a PyTorch network in float32; its layers hold their weights transposed."""
    layers = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1))
    layers.load_state_dict({"0.weight": W.T, "0.bias": C, "2.weight": V.T, "2.bias": B})
    return layers


def to_onnx() -> onnx.ModelProto:
    """Return the network as an ONNX graph: propositions [batch, 2] in, truth [batch, 1] out."""
    return export(network(), (2,), torch.float32, "propositions", ["truth"])


def answers(graph: onnx.ModelProto) -> Tensor:
    """Return what onnxruntime makes of the truth table with a graph: [4, 1]."""
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    (truth,) = session.run(["truth"], {"propositions": X.float().numpy()})
    return torch.from_numpy(truth)


def section(_: Lesson) -> Section:
    """Return the section."""
    beta, alpha = least_squares(X, Y)
    found = steps()
    return Section(
        title="XOR by hand",
        blocks=(
            "Exclusive or is true when exactly one of two propositions is. No line can part its true points from its "
            "false ones, so the best that the linear model `y = Xβ + α` can do is to answer ½ whatever it is asked: "
            "by symmetry each proposition speaks as often for true as for false, and its weight is zero.",
            "One hidden layer of two ReLU units is enough. The first counts how many propositions are true; the second "
            "is awake only when both are. The output takes the first and subtracts the second twice. Layer by layer:",
            Matrices([("X", X), *found.items()], "Each row is one of the four cases; ŷ is right in all of them."),
            _plot(found["max{0, XW + c}"]),
            "The hidden layer has moved the points: (0, 1) and (1, 0) fall on one another, and now a line does it. "
            "That is what hidden layers are for. Exported to ONNX, the network is `xor.onnx` beside this report.",
        ),
        rows=(
            nearly("XOR, linear model: β", (0, 0), values(beta.flatten()), within=1e-12),
            nearly("XOR, linear model: α", 0.5, float(alpha), within=1e-12),
            exactly("XOR, network: XW", ((0, 0), (1, 1), (1, 1), (2, 2)), values(found["XW"])),
            exactly("XOR, network: XW + c", ((0, -1), (1, 0), (1, 0), (2, 1)), values(found["XW + c"])),
            exactly("XOR, network: max{0, XW + c}", ((0, 0), (1, 0), (1, 0), (2, 1)), values(found["max{0, XW + c}"])),
            exactly("XOR, network: ŷ", (0, 1, 1, 0), values(found["ŷ"].flatten())),
            exactly("XOR, network in ONNX: ŷ", (0, 1, 1, 0), values(answers(to_onnx()).flatten())),
        ),
        names=("xor.least_squares", "xor.steps", "xor.network", "xor.to_onnx"),
    )


def _plot(hidden: Tensor) -> Plot:
    def paint(axes: list[Axes]) -> None:
        for place, points in zip(axes, (X, hidden), strict=True):
            for truth, marker, name in ((0, "o", "false"), (1, "s", "true")):
                chosen = points[Y.flatten() == truth].T
                place.plot(*chosen.tolist(), marker, color=COLOURS[truth], markersize=11, label=name)
            place.legend(loc="upper left")
            place.set(aspect="equal", xlim=(-0.5, 2.5), ylim=(-0.5, 1.7), xticks=(0, 1, 2), yticks=(0, 1))
        axes[0].set(xlabel="p", ylabel="q", title="inputs: no line parts them")
        axes[1].plot([-0.5, 2.5], [-0.5, 1.0], "--", color=COLOURS[5], label="h₁ - 2h₂ = ½")
        axes[1].legend(loc="upper left")
        axes[1].set(xlabel="h₁", ylabel="h₂", title="hidden units: a line does")

    alt = "The four cases of XOR before and after the hidden layer"
    return draw(paint, alt, "The four cases as the input layer sees them, and as the output layer does.", columns=2)
