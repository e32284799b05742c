import pytest
import torch

from training import augment
from training.networks import CNN, MLP, Normalise, parameters
from training.recipes import DEFAULT, RECIPES


def test_the_recipes_are_those_of_the_contract():
    assert list(RECIPES) == [
        "fashion-mlp", "cifar-cnn", "lecture-mlp", "lecture-cnn", "lecture-mlp-fast", "lecture-cnn-fast",
    ]  # fmt: skip
    assert DEFAULT == ("fashion-mlp", "cifar-cnn")


def test_each_recipe_is_found_by_its_own_name():
    assert {key: recipe.name for key, recipe in RECIPES.items()} == {key: key for key in RECIPES}


@pytest.mark.parametrize(
    ("name", "dataset", "kind", "count", "fit"),
    [
        ("fashion-mlp", "Fashion-MNIST", MLP, 101_770, "garment"),
        ("cifar-cnn", "CIFAR-10", CNN, 122_570, "photo"),
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
    assert (recipe.weight_decay, recipe.label_smoothing, recipe.augmentations) == (0, 0, ())
    assert not [layer for layer in recipe.network() if isinstance(layer, torch.nn.Dropout)]


@pytest.mark.parametrize("name", ["lecture-mlp", "lecture-cnn"])
def test_the_lecture_recipes_only_divide_pixels_by_255(name):
    pixels = torch.randint(0, 256, (4, 6, 6, 3), dtype=torch.uint8)

    normalised = RECIPES[name].normalise(pixels)(pixels)

    assert torch.equal(normalised, pixels.permute(0, 3, 1, 2) / 255)


def test_the_default_recipes_standardise_their_pixels():
    assert [RECIPES[name].normalise for name in DEFAULT] == [Normalise.to_standard] * 2


def test_only_photographs_are_mirrored_and_moved():
    assert RECIPES["cifar-cnn"].augmentations == (augment.flip, augment.shift)
    assert RECIPES["fashion-mlp"].augmentations == ()
