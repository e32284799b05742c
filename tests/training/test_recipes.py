import re
from dataclasses import fields, replace
from functools import partial
from pathlib import Path

import pytest
import torch

from serving.model.classifier import Classifier
from training import recipes
from training.augment import cutout, random_shift
from training.datasets.views import garment_views
from training.networks.base import Mirrored, count_parameters
from training.networks.cnn import CNN
from training.networks.efficientnet import EfficientNetLite
from training.networks.imagenet_domains import ImageNetDomains
from training.networks.mlp import MLP
from training.networks.net import Net
from training.networks.normalize import Normalize
from training.recipes import DEFAULT, RECIPES

REPOSITORY = Path(__file__).parents[2]


def test_the_recipes_are_those_of_the_contract():
    assert list(RECIPES) == [
        "fashion-mlp", "cifar-cnn", "fashion-net", "cifar-net", "fashion-teacher", "fashion-large", "router",
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
        ("fashion-net", "Fashion-MNIST", Net, 3_179_208, "garment"),
        ("cifar-net", "CIFAR-10", EfficientNetLite, 4_823_882, "photo"),
        ("fashion-teacher", "Fashion-MNIST", Net, 9_896_968, "garment"),
        ("fashion-large", "Fashion-MNIST", EfficientNetLite, 3_383_818, "garment"),
        ("router", "Fashion-MNIST and CIFAR-10", ImageNetDomains, 4_058_905, "photo"),
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
    assert count_parameters(network) == count
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

    normalized = RECIPES[name].normalize(pixels)(pixels)

    assert torch.equal(normalized, pixels.permute(0, 3, 1, 2) / 255)


def test_the_default_recipes_standardize_their_pixels():
    assert [RECIPES[name].normalize for name in DEFAULT] == [Normalize.to_roots, Normalize.to_standard]


@pytest.mark.parametrize(
    ("name", "flip", "augmentations", "mirrored"),
    [
        ("fashion-mlp", False, (), False),
        ("cifar-cnn", True, (random_shift,), False),
        ("fashion-net", True, (), True),
        ("cifar-net", True, (), False),
    ],
)
def test_images_are_flipped_and_shifted_for_convolutions_alone(name, flip, augmentations, mirrored):
    recipe = RECIPES[name]

    assert (recipe.flip, recipe.augmentations, recipe.mirrored) == (flip, augmentations, mirrored)


@pytest.mark.parametrize("mirrored", [True, False])
def test_the_served_network_sees_the_flipped_image_too_if_the_recipe_says_so(mirrored):
    network = CNN()

    served = replace(RECIPES["cifar-cnn"], mirrored=mirrored).to_served(network)

    assert isinstance(served, Mirrored) is mirrored
    assert served is network or served.network is network


def test_the_values_of_a_recipe_are_all_its_fields_of_the_training_that_can_be_written_down():
    recipe = RECIPES["fashion-net"]

    values = recipe.values()

    assert {field.name for field in fields(recipe)} - set(values) == {
        *("source", "task"),  # the labels that are saved beside them say which task it is
        "normalizations",
        *("int8", "novelty", "sample_sizes", "flagged_photos"),  # decide on the file alone
        "on_cpu",  # what it changes is among the others
    }
    named = {
        "network": "net 64-256-256 residual",
        "augmentations": "",
        "normalize": "to_standard",
        "teachers": "fashion-teacher fashion-large",
        "view": "garment_views",
    }
    assert {name: values.pop(name) for name in named} == named
    assert re.fullmatch("[0-9a-f]{12}", values.pop("layers"))
    assert all(value == getattr(recipe, name) for name, value in values.items())


def test_networks_that_differ_in_anything_and_augmentations_have_other_values():
    recipe = RECIPES["cifar-cnn"]
    others = [
        replace(recipe, network=lambda: CNN(classes=9)),
        replace(recipe, augmentations=()),
        replace(recipe, network=lambda: EfficientNetLite(side=32)),
        replace(recipe, network=lambda: EfficientNetLite(side=64)),
        replace(recipe, network=lambda: EfficientNetLite(side=64, first_side=32)),
    ]

    values = [tuple(one.values().items()) for one in (recipe, *others)]

    assert values[0] == tuple(recipe.values().items())
    assert len(set(values)) == 6


def test_functions_with_arguments_have_the_same_names_in_each_run_and_others_with_other_arguments():
    recipe = replace(
        RECIPES["cifar-cnn"],
        augmentations=(partial(random_shift, max_pixels=3), partial(cutout, side=8)),
        normalize=partial(Normalize.to_standard),
        view=partial(garment_views),
    )

    values = recipe.values()

    assert values["augmentations"] == "random_shift(max_pixels=3) cutout(side=8)"
    assert (values["normalize"], values["view"]) == ("to_standard()", "garment_views()")


@pytest.mark.trains
def test_the_recipe_of_the_documentation_is_trained_and_exported(run_export, tmp_path, monkeypatch):
    (block,) = re.findall("```python\n(WIDE_MLP = .+?)```", (REPOSITORY / "docs/training.md").read_text(), re.DOTALL)
    names = vars(recipes) | {"cutout": cutout, "partial": partial}
    exec(block, names)
    monkeypatch.setitem(RECIPES, "wide-mlp", names["WIDE_MLP"])

    assert run_export(tmp_path, "wide-mlp", "--limit", "100") == 0

    card = Classifier.open(tmp_path / "wide-mlp/1/model.onnx").card
    assert card.network == "mlp 784-256-128-10 tanh"
    assert card.training.augmentations == ["random_shift", "cutout(side=8)"]


@pytest.mark.trains
@pytest.mark.parametrize(
    ("name", "network", "message"),
    [
        ("fashion-mlp", lambda: MLP(classes=12), "has an output of [12] for an image, but Fashion-MNIST has 10 labels"),
        ("fashion-mlp", CNN, "does not take Fashion-MNIST's images, [channels, height, width] = [1, 28, 28]: "),
    ],
)
def test_a_network_for_other_labels_or_images_is_refused_before_it_is_trained(
    name, network, message, run_export, tmp_path, monkeypatch, capsys
):
    monkeypatch.setitem(RECIPES, name, replace(RECIPES[name], network=network))

    assert run_export(tmp_path, name, "--limit", "100") == 1

    error = capsys.readouterr().err
    assert f"training.export: {name}: its network {message}" in error
    assert "Training" not in error


@pytest.mark.parametrize("name", ["fashion-net", "cifar-net"])
def test_a_network_for_photos_is_augmented_by_its_views_alone(name):
    recipe = RECIPES[name]

    assert recipe.view
    assert recipe.augmentations == ()


def test_a_teacher_learned_the_views_that_it_is_asked_about():
    recipe = RECIPES["fashion-net"]

    assert {RECIPES[teacher].view for teacher in recipe.teachers} == {recipe.view}


@pytest.mark.parametrize("name", [name for name, recipe in RECIPES.items() if recipe.on_cpu])
@pytest.mark.parametrize("progress", [0, 1])
def test_a_network_that_a_processor_trains_in_place_of_another_takes_the_same_images(name, progress):
    recipe = RECIPES[name].on("cpu")
    channels = {"Fashion-MNIST": 1, "CIFAR-10": 3}[recipe.source.title]
    network = recipe.network().eval()
    network.set_progress(progress)

    with torch.no_grad():
        logits = network(torch.rand(2, channels, 32, 32))

    assert logits.shape == (2, 10)
    assert recipe.teachers == ()
