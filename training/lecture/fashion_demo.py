"""Demo 1: the multilayer perceptron on Fashion-MNIST."""

from dataclasses import replace

from training.lecture.agreement import Row, exactly
from training.lecture.demo import Demo, LectureScore, sample_plot
from training.lecture.section import Lesson, Section
from training.networks.base import count_parameters
from training.networks.mlp import MLP
from training.recipe import Recipe
from training.recipes import LECTURE_MLP, LECTURE_MLP_FAST
from training.train.trainer import Epoch

LECTURE_CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
LECTURE_LOSSES = (0.5003, 0.3782, 0.3362, 0.3141, 0.2934)  # by epoch, on the training images
LECTURE_ACCURACIES = (0.8238, 0.8643, 0.8784, 0.8844, 0.8922)
LECTURE_TEST = LectureScore(loss=0.3377942, accuracy=0.8792)
# Fewer epochs are enough for the accuracy, but make a short log.
FAST_RECIPE = replace(LECTURE_MLP_FAST, epochs=len(LECTURE_LOSSES))


def recipe_for(lesson: Lesson) -> Recipe:
    """Return the lecture's own recipe for a full lesson, otherwise the faster one."""
    return LECTURE_MLP if lesson.full else FAST_RECIPE


def section(lesson: Lesson) -> Section:
    """Return the section."""
    demo = Demo(recipe_for(lesson), lesson.fashion_mnist)
    labels = demo.recipe.source.labels
    return Section(
        title="Demo 1: an MLP on Fashion-MNIST",
        blocks=(
            "Fashion-MNIST has gray images of 28 × 28 pixels, each of one of ten kinds of garment. The network takes "
            "the 784 pixel values and returns ten probabilities.",
            sample_plot(lesson.fashion_mnist.train, labels),
            f"The network has one hidden layer of 128 ReLU units: {count_parameters(MLP()):,} weights and biases in "
            f"all. {demo.settings()}",
            demo.log(),
            demo.history(LECTURE_TEST),
            demo.result(LECTURE_TEST),
        ),
        rows=(
            exactly("MLP: the class names", LECTURE_CLASSES, labels),
            _losses_row(demo.epochs),
            _accuracies_row(demo.epochs),
            *demo.score.compare("MLP", LECTURE_TEST),
        ),
        code=("fashion_demo.FAST_RECIPE", "training.networks.mlp.MLP", "training.recipes.LECTURE_MLP"),
    )


def _losses_row(epochs: tuple[Epoch, ...]) -> Row:
    losses = tuple(round(epoch.loss, 4) for epoch in epochs)
    falls = losses == tuple(sorted(losses, reverse=True))
    return Row("MLP: training loss by epoch", LECTURE_LOSSES, losses, falls, "falls from epoch to epoch")


def _accuracies_row(epochs: tuple[Epoch, ...]) -> Row:
    accuracies = tuple(round(epoch.accuracy, 4) for epoch in epochs)
    rises = accuracies == tuple(sorted(accuracies))
    return Row("MLP: training accuracy by epoch", LECTURE_ACCURACIES, accuracies, rises, "rises from epoch to epoch")
