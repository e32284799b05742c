"""Demo 2: the convolutional network on CIFAR-10."""

from collections.abc import Sequence
from dataclasses import replace

from training.lecture.agreement import Row, exactly
from training.lecture.demo import Demo, Printed, samples
from training.lecture.section import Grid, Lesson, Section
from training.networks import CNN
from training.networks.layers import Layer, layers
from training.recipes import LECTURE_CNN, LECTURE_CNN_FAST, Recipe

TEST = Printed(loss=1.016327, accuracy=0.6686)
FAST = replace(LECTURE_CNN_FAST, epochs=4, images=None)  # one is enough for the accuracy, but makes no curve
NAMES = {"Conv2d": "Conv2D", "MaxPool2d": "MaxPooling2D", "Flatten": "Flatten", "Linear": "Dense"}  # the lecture's
BASE_SHAPES = ((30, 30, 32), (15, 15, 32), (13, 13, 64), (6, 6, 64), (4, 4, 64))
HEAD_SHAPES = ((1024,), (64,), (10,))
BASE, WHOLE = 56_320, 122_570  # parameters


def summary() -> list[Layer]:
    """Return the layers as the lecture's tables list them: channels last, each with its ReLU."""
    found = layers(CNN(), (3, 32, 32))
    return [Layer(NAMES[kind], shape[1:] + shape[:1], size) for kind, shape, size in found if kind in NAMES]


def recipe_of(lesson: Lesson) -> Recipe:
    """Return the lecture's own recipe if the lesson is to be full, else the faster one."""
    return LECTURE_CNN if lesson.full else FAST


def section(lesson: Lesson) -> Section:
    """Return the section."""
    demo = Demo(recipe_of(lesson), lesson.things)
    listed = summary()
    return Section(
        title="Demo 2: things and animals",
        blocks=(
            "Colour images of 32 × 32 pixels: CIFAR-10.",
            samples(lesson.things.train, demo.recipe.source.labels),
            "A multilayer perceptron would have to learn what an edge is at each place anew. A convolution looks at "
            "all places with the same few weights, 3 × 3 pixels at a time, and pooling keeps the strongest answer of "
            "each 2 × 2: the maps become smaller, and each of their values sees more of the image.",
            _table(listed[: len(BASE_SHAPES)], "The convolutional base."),
            "A classifier like that of demo 1 goes on top: a hidden layer of 64 units, and ten outputs.",
            _table(listed, "The whole network."),
            f"Trained in {demo.told()} The lecture watches the test images as it trains; here they wait until the end.",
            demo.log(),
            demo.history(TEST),
            f"On the {demo.score.n:,} test images it is right in {demo.score.accuracy:.2%} of the cases, with a loss "
            f"of {demo.score.loss:.4f}.",
        ),
        rows=(*_shapes(listed), *demo.score.beside("CNN", TEST)),
        names=(
            "things.FAST",
            "training.networks.CNN",
            "training.recipes.LECTURE_CNN",
            "training.networks.layers.layers",
        ),
    )


def _shapes(listed: Sequence[Layer]) -> tuple[Row, ...]:
    base, head = listed[: len(BASE_SHAPES)], listed[len(BASE_SHAPES) :]
    return (
        exactly("CNN: output shapes of the base", BASE_SHAPES, tuple(layer.shape for layer in base)),
        exactly("CNN: parameters of its second convolution", 18_496, base[2].parameters),
        exactly("CNN: parameters of its third convolution", 36_928, base[4].parameters),
        exactly("CNN: parameters of the base", BASE, sum(layer.parameters for layer in base)),
        exactly("CNN: output shapes of the classifier", HEAD_SHAPES, tuple(layer.shape for layer in head)),
        exactly("CNN: parameters of the whole", WHOLE, sum(layer.parameters for layer in listed)),
    )


def _table(listed: Sequence[Layer], what: str) -> Grid:
    rows = [(layer.kind, str(layer.shape), f"{layer.parameters:,}") for layer in listed]
    total = sum(layer.parameters for layer in listed)
    return Grid(("Layer", "Output shape", "Parameters"), rows, f"{what} Parameters in all: {total:,}.")
