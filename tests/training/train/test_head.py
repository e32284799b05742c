"""The head of a pretrained network: fitted to the features of a few images."""

from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor, nn

from training.datasets.formats import DataError
from training.datasets.labelled import LabelledImages
from training.networks.base import Network
from training.networks.normalize import Normalize
from training.recipes import RECIPES
from training.task import macro_accuracy
from training.train.head import TRIED_IMAGES, fit_head, with_best_normalization

LABELS = ("dark", "bright", "striped")


class Means(Network):
    """A "pretrained" network: its features are the means of the rows, which turning left to right does not change."""

    title = "means of rows"

    def __init__(self, classes: int = 3) -> None:
        super().__init__(nn.AdaptiveAvgPool2d((8, 1)), nn.Flatten(), nn.Linear(8, classes))


class Columns(Network):
    """A "pretrained" network: its features are the means of the columns."""

    title = "means of columns"

    def __init__(self) -> None:
        super().__init__(nn.AdaptiveAvgPool2d((1, 8)), nn.Flatten(), nn.Linear(8, 2))


@dataclass(frozen=True)
class Own:
    """A source with these labels."""

    labels: tuple[str, ...] = LABELS


def images(*counts: int, seed: int = 0) -> LabelledImages:
    """Return so many grey images [n, 8, 8, 1] of each label: dark, bright, and of rows of both."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    rows = torch.tensor([[60] * 8, [190] * 8, [60, 190] * 4])[labels][:, :, None, None].expand(-1, -1, 8, 1)
    noise = torch.randint(-50, 51, rows.shape, generator=generator)
    return LabelledImages((rows + noise).to(torch.uint8), labels)


def recipe(classes: int = 3):
    return replace(
        RECIPES["lecture-mlp"], source=Own(LABELS[:classes]), network=lambda: Means(classes), frozen=True, epochs=0
    )


@pytest.mark.parametrize("classes", [2, 3])
def test_the_last_layer_is_fitted_and_the_rest_stays(classes):
    counts = [20] * classes
    torch.manual_seed(0)

    trained = fit_head(recipe(classes), images(*counts), images(*counts, seed=1))

    test = images(*counts, seed=2)
    answered = trained.forward_features(test.pixels).logits.argmax(1)
    assert torch.equal(answered, test.labels)
    (epoch,) = trained.epochs
    assert (epoch.number, epoch.val_accuracy) == (1, 1.0)


@pytest.mark.parametrize(("turned", "augmentations"), [(False, ()), (True, ("flip_lr",))])
def test_mirrored_images_are_learned_from_if_the_validation_images_are_then_told_better(turned, augmentations):
    labels = torch.arange(40) % 2
    pixels = torch.randint(0, 20, (40, 8, 8, 1), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    pixels[range(40), :, 2 * labels] += 200  # a bright column at the left edge, or near it
    seen = LabelledImages(pixels.flip(2) if turned else pixels, labels)
    columns = replace(recipe(2), network=Columns)

    trained = fit_head(columns, LabelledImages(pixels, labels), seen)

    assert trained.augmentations == augmentations
    assert trained.epochs[0].val_accuracy == 1


def test_a_label_with_few_images_counts_as_much_as_the_others():
    trained = fit_head(recipe(), images(200, 200, 3), images(20, 20, 5, seed=1))

    rare = images(0, 0, 20, seed=2)
    assert float((trained.forward_features(rare.pixels).logits.argmax(1) == 2).float().mean()) > 0.9


def test_images_of_one_label_alone_are_refused_with_what_to_do():
    with pytest.raises(DataError, match="all 20 training images have the label 'bright': raise --limit"):
        fit_head(recipe(), images(0, 20), images(20, 20, seed=1))


def test_the_best_normalization_is_tried_on_images_of_all_labels():
    own = replace(recipe(2), normalizations=(Normalize.to_unit, Normalize.to_roots))

    assert (
        with_best_normalization(own, images(TRIED_IMAGES, 20), images(20, 20, seed=1)).normalize in own.normalizations
    )


def test_what_takes_long_is_told_before_it_begins(capsys):
    own = replace(recipe(2), normalizations=(Normalize.to_unit, Normalize.to_roots))

    with_best_normalization(own, images(20, 50), images(20, 20, seed=1))

    fitting = ["Features of 70 images", "Features of 70 mirrored images", "Features of 40 images",
               "Fitting 8 last layers", "Fitting 5 last layers, each to other images"]  # fmt: skip
    assert capsys.readouterr().err.splitlines() == [
        "Trying pixels normalized to unit", *fitting, "Trying pixels normalized to roots", *fitting
    ]  # fmt: skip


def test_a_label_without_training_images_is_never_answered():
    trained = fit_head(recipe(), images(20, 20), images(20, 20, seed=1))

    answered: Tensor = trained.forward_features(images(20, 20, 20, seed=2).pixels).logits.argmax(1)
    assert 2 not in answered


def test_macro_accuracy_is_the_mean_of_the_labels_own():
    truth, decided = torch.eye(3)[[0, 0, 0, 0, 1]].bool(), torch.eye(3)[[0, 0, 0, 1, 0]].bool()

    assert macro_accuracy(decided, truth) == pytest.approx((0.75 + 0) / 2)
