"""The recipe of own images: what their number and their size decide."""

from pathlib import Path

import pytest

from training.datasets.folder_layout import LabelledFile
from training.datasets.image_folder import ImageFolder
from training.own_recipe import own_recipe


def folder_of(count: int, typical: int = 28, side: int = 28) -> ImageFolder:
    """Return so many own images of a typical size, none of which is there."""
    files = (LabelledFile(("daisy",), Path("1.png")),) * count
    return ImageFolder("flowers", Path("flowers"), ("daisy", "rose"), files, side, 1, typical_side=typical)


@pytest.mark.parametrize(("count", "epochs", "batch"), [(20, 200, 32), (2_000, 100, 62), (1_000_000, 8, 128)])
def test_few_own_images_are_trained_on_more_often_and_in_smaller_batches(count, epochs, batch):
    recipe = own_recipe(folder_of(count))

    assert (recipe.epochs, recipe.batch) == (epochs, batch)


def test_whether_own_images_are_flipped_is_tried():
    recipe = own_recipe(folder_of(20))

    assert (recipe.flip, recipe.mirrored, recipe.fit) == ("tried", False, "photo")


@pytest.mark.parametrize(
    ("count", "typical", "side"),
    [(20, 28, 28), (20, 100, 96), (3_985, 224, 224), (3_986, 224, 192), (10_000, 4_000, 128), (100_000, 4_000, 128)],
)
def test_the_input_of_a_pretrained_network_is_what_the_images_fill_and_smaller_for_many(count, typical, side):
    assert own_recipe(folder_of(count, typical), pretrained=True).source.side == side


@pytest.mark.parametrize(("fine_tuned", "epochs"), [(True, 15), (False, 0)])
def test_blocks_of_a_pretrained_network_learn_only_if_that_was_asked_for(fine_tuned, epochs):
    recipe = own_recipe(folder_of(20, 224), pretrained=True, fine_tuned=fine_tuned)

    assert recipe.epochs == epochs
    assert ("fine-tuned" in recipe.network().title) == fine_tuned


@pytest.mark.parametrize("pretrained", [True, False])
def test_a_side_that_was_asked_for_stays(pretrained):
    assert own_recipe(folder_of(100_000, typical=224, side=224), pretrained).source.side == 224
