"""Demo 2: the convolutional network on CIFAR-10."""

from collections.abc import Sequence
from dataclasses import replace

from training.lecture.agreement import Row, exactly, format_value
from training.lecture.demo import Demo, LectureScore, sample_plot
from training.lecture.section import Lesson, Section, Table
from training.networks.cnn import CNN
from training.networks.layers import Layer, layers
from training.recipe import Recipe
from training.recipes import LECTURE_CNN, LECTURE_CNN_FAST

LECTURE_TEST = LectureScore(loss=1.016327, accuracy=0.6686)
# One epoch is enough for the accuracy, but does not make a curve.
FAST_RECIPE = replace(LECTURE_CNN_FAST, epochs=4, train_images=None)
KERAS_NAMES = {"Conv2d": "Conv2D", "MaxPool2d": "MaxPooling2D", "Flatten": "Flatten", "Linear": "Dense"}
BASE_SHAPES = ((30, 30, 32), (15, 15, 32), (13, 13, 64), (6, 6, 64), (4, 4, 64))
CLASSIFIER_SHAPES = ((1024,), (64,), (10,))
BASE_PARAMETERS, TOTAL_PARAMETERS = 56_320, 122_570


def summary() -> list[Layer]:
    """Return the layers as the lecture's tables list them: channels last, each with its ReLU."""
    found = layers(CNN(), (3, 32, 32))
    return [Layer(KERAS_NAMES[kind], shape[1:] + shape[:1], size) for kind, shape, size in found if kind in KERAS_NAMES]


def recipe_for(lesson: Lesson) -> Recipe:
    """Return the lecture's own recipe for a full lesson, otherwise the faster one."""
    return LECTURE_CNN if lesson.full else FAST_RECIPE


def section(lesson: Lesson) -> Section:
    """Return the section."""
    demo = Demo(recipe_for(lesson), lesson.cifar_10)
    listed = summary()
    return Section(
        title="Demo 2: a CNN on CIFAR-10",
        blocks=(
            "CIFAR-10 has color images of 32 × 32 pixels, each of one of ten kinds of thing or animal. The network is "
            "a convolutional neural network (CNN).",
            sample_plot(lesson.cifar_10.train, demo.recipe.source.labels),
            "A multilayer perceptron would have to learn anew at each place what an edge is. A convolution (Conv2D) "
            "looks at all places with the same few weights, 3 × 3 pixels at a time. Pooling (MaxPooling2D) keeps the "
            "largest of each 2 × 2 values. The maps become smaller, and each of their values depends on more of the "
            "image. The table lists the layers; an output shape is height, width and channels.",
            _table(listed[: len(BASE_SHAPES)], "The convolutional base"),
            "A classifier like that of demo 1 follows: a hidden layer of 64 units and an output layer of ten, both "
            "fully connected (Dense).",
            _table(listed, "The whole network"),
            f"{demo.settings()} The lecture evaluates on the test images during training. Here they wait until the "
            "end.",
            demo.log(),
            demo.history(LECTURE_TEST),
            demo.result(LECTURE_TEST),
        ),
        rows=(*_layer_rows(listed), *demo.score.compare("CNN", LECTURE_TEST)),
        code=(
            "cifar_demo.FAST_RECIPE",
            "training.networks.cnn.CNN",
            "training.recipes.LECTURE_CNN",
            "training.networks.layers.layers",
        ),
    )


def _layer_rows(listed: Sequence[Layer]) -> tuple[Row, ...]:
    base, classifier = listed[: len(BASE_SHAPES)], listed[len(BASE_SHAPES) :]
    total = sum(layer.parameters for layer in listed)
    return (
        exactly("CNN: output shapes of the base", BASE_SHAPES, tuple(layer.shape for layer in base)),
        exactly("CNN: parameters of its second convolution", 18_496, base[2].parameters),
        exactly("CNN: parameters of its third convolution", 36_928, base[4].parameters),
        exactly("CNN: parameters of the base", BASE_PARAMETERS, sum(layer.parameters for layer in base)),
        exactly("CNN: output shapes of the classifier", CLASSIFIER_SHAPES, tuple(layer.shape for layer in classifier)),
        exactly("CNN: parameters of the whole", TOTAL_PARAMETERS, total),
    )


def _table(listed: Sequence[Layer], caption: str) -> Table:
    rows = [(layer.kind, format_value(layer.shape), f"{layer.parameters:,}") for layer in listed]
    total = sum(layer.parameters for layer in listed)
    return Table(("Layer", "Output shape", "Parameters"), rows, f"{caption}: {total:,} parameters.")
