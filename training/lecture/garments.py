"""Demo 1: the multilayer perceptron on Fashion-MNIST."""

from dataclasses import replace

from training.lecture.agreement import Row, exactly
from training.lecture.demo import Demo, Printed, samples
from training.lecture.section import Lesson, Section
from training.networks import MLP, parameters
from training.recipes import LECTURE_MLP, LECTURE_MLP_FAST, Recipe
from training.train.course import Epoch

CLASSES = (
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
LOSSES = (0.5003, 0.3782, 0.3362, 0.3141, 0.2934)  # of the lecture's epochs, on the training images
TEST = Printed(loss=0.3377942, accuracy=0.8792)
FAST = replace(LECTURE_MLP_FAST, epochs=len(LOSSES))  # fewer are enough for the accuracy, but make a short log


def recipe_of(lesson: Lesson) -> Recipe:
    """Return the lecture's own recipe if the lesson is to be full, else the faster one."""
    return LECTURE_MLP if lesson.full else FAST


def section(lesson: Lesson) -> Section:
    """Return the section."""
    demo = Demo(recipe_of(lesson), lesson.garments)
    labels = demo.recipe.source.labels
    return Section(
        title="Demo 1: garments",
        blocks=(
            "Grey images of 28 × 28 pixels, each a garment of one of ten kinds: Fashion-MNIST. A network sees 784 "
            "numbers and answers with ten probabilities.",
            samples(lesson.garments.train, labels),
            f"Between the two is one hidden layer of 128 ReLU units: {parameters(MLP()):,} weights and biases in all. "
            f"Trained in {demo.told()}",
            demo.log(),
            demo.history(TEST),
            f"On the {demo.score.n:,} test images, which were not looked at before, it is right in "
            f"{demo.score.accuracy:.2%} of the cases, with a loss of {demo.score.loss:.4f}.",
        ),
        rows=(
            exactly("MLP: the class names", CLASSES, labels),
            _falling(demo.epochs),
            *demo.score.beside("MLP", TEST),
        ),
        names=("garments.FAST", "training.networks.MLP", "training.recipes.LECTURE_MLP"),
    )


def _falling(epochs: tuple[Epoch, ...]) -> Row:
    losses = tuple(round(epoch.loss, 4) for epoch in epochs)
    falls = losses == tuple(sorted(losses, reverse=True))
    return Row("MLP: training loss by epoch", LOSSES, losses, falls, "falls from epoch to epoch")
