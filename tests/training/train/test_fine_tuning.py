"""Fine-tuning: which layers learn from own images, and from which views of them."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

from training.augment import flip_lr
from training.datasets.labelled import LabelledImages
from training.networks.base import Network
from training.networks.efficientnet import EfficientNetLite, Tail
from training.networks.normalize import Normalize
from training.recipes import RECIPES
from training.train.fine_tuning import VIEWS, fine_tuned, tail_training, why_worse
from training.train.loop import train_network
from training.train.trained_network import TrainedNetwork
from training.train.trainer import Epoch

pytestmark = pytest.mark.trains
RECIPE = replace(RECIPES["cifar-net"], epochs=2, batch=4, view=None, flip=False)
LEFT = torch.zeros(6, 8, 8, 3, dtype=torch.uint8)
LEFT[:, :, :4] = 255


class Split(Network):
    """A "pretrained" network whose first layers change nothing: the feature maps are the normalized images."""

    title = "split"

    def __init__(self) -> None:
        super().__init__(nn.Identity(), nn.Flatten(), nn.Linear(192, 2))

    def split(self):
        return self[0], Tail(*[*self][1:])


def images(count: int = 12) -> LabelledImages:
    """Return dark and bright images [count, 32, 32, 3] in turn."""
    labels = torch.arange(count) % 2
    generator = torch.Generator().manual_seed(0)
    noise = torch.randint(0, 100, (count, 32, 32, 3), generator=generator)
    return LabelledImages((noise + 150 * labels[:, None, None, None]).to(torch.uint8), labels)


def fitted(network: Network, *augmentations: str) -> TrainedNetwork:
    trained = TrainedNetwork.of(RECIPE, Normalize.to_unit(LEFT), network, [])
    return replace(trained, augmentations=augmentations)


def views_of(*augmentations: str, **options: int) -> torch.Tensor:
    """Return the views [views, n, c, h, w] from which the last layers learn about images whose left half is white."""
    left = LabelledImages(LEFT, torch.zeros(6, dtype=torch.int64))
    return tail_training(RECIPE, fitted(Split(), *augmentations), left, left, **options).views.pixels


@pytest.fixture(scope="module")
def before_and_after() -> tuple[Network, TrainedNetwork]:
    network = EfficientNetLite(32, 2, tuned_blocks=2)
    before = copy.deepcopy(network)
    trained = fitted(network)
    tail = tail_training(replace(RECIPE, learning_rate=1e-4), trained, images(), images())
    return before, fine_tuned(trained, train_network(tail.recipe, tail.train, tail.validation, views=tail.views))


def test_the_last_blocks_and_layers_alone_learn(before_and_after):
    before, after = before_and_after
    weights = dict(before.named_parameters())
    changed = {name for name, value in after.network.named_parameters() if not torch.equal(value, weights[name])}

    blocks = {int(name.split(".")[1]) for name in changed if name.startswith("1.")}
    assert min(blocks) == 3 + 14  # the stem has three layers
    assert any(name.startswith("3.") for name in changed)


def test_batch_norms_keep_the_statistics_of_the_images_before(before_and_after):
    before, after = before_and_after
    statistics = [(name, value) for name, value in before.named_buffers() if "running" in name]

    assert statistics
    assert all(torch.equal(value, after.network.get_buffer(name)) for name, value in statistics)


def test_the_epochs_are_those_of_the_whole_network(before_and_after):
    _, after = before_and_after
    pixels, labels = images().pixels, images().labels

    assert [epoch.number for epoch in after.epochs] == [1, 2]
    accuracy = float((after.forward_features(pixels).logits.argmax(1) == labels).float().mean())
    assert after.epochs[-1].val_accuracy == pytest.approx(accuracy, abs=1e-6)


def test_the_first_view_is_the_images_as_they_are_and_the_others_are_nearer():
    plain, *others = views_of()

    assert len(others) == VIEWS - 1
    assert torch.equal(plain, Normalize.to_unit(LEFT)(LEFT).half())
    assert all(not torch.equal(view, plain) for view in others)
    assert all(view[..., 0].mean() == 1 and view[..., -1].mean() == 0 for view in others)


def test_images_are_flipped_where_the_last_layer_learned_from_flipped_ones():
    flipped = views_of(flip_lr.__name__)[1:, :, 0, 0, 0] == 0

    assert flipped.any()
    assert not flipped.all()


def test_very_many_images_have_fewer_views():
    assert len(views_of(maps_bytes=3 * 6 * 3 * 64 * 2)) == 3
    assert len(views_of(maps_bytes=1)) == 1


def test_a_loss_of_validation_accuracy_is_told_with_advice():
    better, worse = (Epoch(1, 0.1, 0.9, 0.2, accuracy, 0.01, 1.0) for accuracy in (1.0, 2 / 3))

    assert why_worse(worse, better) is None
    assert why_worse(better, worse) == (
        "fine-tuning made the network worse: 66.7% of the validation images are right, and 100.0% were before; take "
        "more epochs, or leave --fine-tune out"
    )
