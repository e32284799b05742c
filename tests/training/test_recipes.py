from dataclasses import fields, replace

import pytest
import torch

from training import augment
from training.networks import CNN, MLP, Mirrored, Net, parameters
from training.networks.normalisation import Normalise
from training.recipes import DEFAULT, PATIENCE, RECIPES


def test_the_recipes_are_those_of_the_contract():
    assert list(RECIPES) == [
        "fashion-mlp", "cifar-cnn", "fashion-net", "cifar-net",
        "lecture-mlp", "lecture-cnn", "lecture-mlp-fast", "lecture-cnn-fast",
    ]  # fmt: skip
    assert DEFAULT == ("fashion-mlp", "cifar-cnn")


def test_each_recipe_is_found_by_its_own_name():
    assert {key: recipe.name for key, recipe in RECIPES.items()} == {key: key for key in RECIPES}


@pytest.mark.parametrize(
    ("name", "dataset", "kind", "count", "fit"),
    [
        ("fashion-mlp", "Fashion-MNIST", MLP, 101_770, "garment"),
        ("cifar-cnn", "CIFAR-10", CNN, 122_570, "photo"),
        ("fashion-net", "Fashion-MNIST", Net, 1_962_120, "garment"),
        ("cifar-net", "CIFAR-10", Net, 1_971_352, "photo"),
        ("lecture-mlp", "Fashion-MNIST", MLP, 101_770, "garment"),
        ("lecture-cnn", "CIFAR-10", CNN, 122_570, "photo"),
        ("lecture-mlp-fast", "Fashion-MNIST", MLP, 101_770, "garment"),
        ("lecture-cnn-fast", "CIFAR-10", CNN, 122_570, "photo"),
    ],
)
def test_each_recipe_trains_the_promised_network_on_the_promised_data(name, dataset, kind, count, fit):
    recipe = RECIPES[name]
    network = recipe.network()

    assert isinstance(network, kind)
    assert parameters(network) == count
    assert (recipe.source.title, recipe.fit) == (dataset, fit)


@pytest.mark.parametrize(("name", "epochs"), [("lecture-mlp", 5), ("lecture-cnn", 10)])
def test_the_lecture_recipes_have_the_lectures_settings(name, epochs):
    recipe = RECIPES[name]

    assert (recipe.epochs, recipe.batch, recipe.learning_rate, recipe.schedule) == (epochs, 32, 1e-3, "constant")
    assert (recipe.weight_decay, recipe.label_smoothing, recipe.flip, recipe.augmentations) == (0, 0, False, ())
    assert not [layer for layer in recipe.network() if isinstance(layer, torch.nn.Dropout)]


@pytest.mark.parametrize("name", ["lecture-mlp", "lecture-cnn"])
def test_the_lecture_recipes_only_divide_pixels_by_255(name):
    pixels = torch.randint(0, 256, (4, 6, 6, 3), dtype=torch.uint8)

    normalised = RECIPES[name].normalise(pixels)(pixels)

    assert torch.equal(normalised, pixels.permute(0, 3, 1, 2) / 255)


def test_the_default_recipes_standardise_their_pixels():
    assert [RECIPES[name].normalise for name in DEFAULT] == [Normalise.to_roots, Normalise.to_standard]


@pytest.mark.parametrize(
    ("name", "flip", "augmentations", "mirrored"),
    [
        ("fashion-mlp", False, (), False),
        ("cifar-cnn", True, (augment.shift,), False),
        ("fashion-net", True, (augment.shift,), True),
        ("cifar-net", True, (augment.shift,), True),
    ],
)
def test_images_are_mirrored_and_moved_for_convolutions_alone(name, flip, augmentations, mirrored):
    recipe = RECIPES[name]

    assert (recipe.flip, recipe.augmentations, recipe.mirrored) == (flip, augmentations, mirrored)


@pytest.mark.parametrize("mirrored", [True, False])
def test_what_is_served_sees_the_mirror_image_too_where_the_recipe_says_so(mirrored):
    network = CNN()

    answering = replace(RECIPES["cifar-cnn"], mirrored=mirrored).answering(network)

    assert isinstance(answering, Mirrored) is mirrored
    assert answering is network or answering.network is network


def test_the_values_of_a_recipe_are_all_of_it_that_can_be_written_down():
    recipe = RECIPES["cifar-net"]

    values = recipe.values()

    assert {field.name for field in fields(recipe)} - set(values) == {"source", "augmentations", "patient"}
    assert (values.pop("network"), values.pop("normalise")) == ("net 64-256-256", "to_standard")
    assert all(value == getattr(recipe, name) for name, value in values.items())


@pytest.mark.parametrize(("epochs", "cuts"), [(PATIENCE - 1, False), (PATIENCE, True)])
def test_images_are_cut_in_patient_trainings_alone(epochs, cuts):
    recipe = replace(RECIPES["fashion-net"], epochs=epochs)

    changed = recipe.augment(torch.ones(20, 1, 28, 28), torch.Generator().manual_seed(0))

    assert bool((changed == 0).any()) is cuts
