import pytest
import torch
from small_networks import SmallNet
from torch import Tensor, nn

from training.networks.efficientnet import EfficientNetLite
from training.networks.folding import fold_batch_norms
from training.networks.net import BatchNorm


class Residual(nn.Sequential):
    """A row of layers whose output is added to its input."""

    def forward(self, images: Tensor) -> Tensor:
        return images + super().forward(images)


def after_training(network: nn.Module, images: Tensor) -> nn.Module:
    """Return a network whose batch norms differ from the identity."""
    with torch.inference_mode():
        network.train()(3 * images + 1)
    return network.eval()


def largest_difference(network: nn.Module, images: Tensor) -> float:
    with torch.inference_mode():
        return float((fold_batch_norms(network)(images) - network(images)).abs().max())


def norms(network: nn.Module) -> list[nn.Module]:
    return [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]


@pytest.fixture
def images() -> Tensor:
    return torch.rand(16, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def test_a_net_without_its_batch_norms_gives_the_same_outputs(images):
    network = after_training(SmallNet(channels=3), images)

    assert largest_difference(network, images) < 1e-5
    assert norms(fold_batch_norms(network)) == []
    assert len(norms(network)) == 6


def test_batch_norms_of_a_residual_row_are_folded_too(images):
    row = Residual(nn.Conv2d(3, 3, 3, padding="same", bias=False), BatchNorm(3), nn.GELU())
    network = after_training(nn.Sequential(nn.Conv2d(3, 3, 1), row), images)

    assert largest_difference(network, images) < 1e-5
    assert norms(fold_batch_norms(network)) == []


@pytest.mark.parametrize("size", [0, 2])
def test_all_batch_norms_of_a_pretrained_network_are_folded(images, size):
    network = EfficientNetLite(side=32, size=size).eval()

    assert largest_difference(network, images) < 1e-4
    assert norms(fold_batch_norms(network)) == []


def test_a_batch_norm_that_may_turn_the_order_of_values_stays_behind_its_max_pool(images):
    network = after_training(nn.Sequential(nn.Conv2d(3, 4, 3), nn.MaxPool2d(2), nn.BatchNorm2d(4)), images)
    with torch.inference_mode():
        network[-1].weight[0] = -1

    assert largest_difference(network, images) < 1e-5
    assert len(norms(fold_batch_norms(network))) == 1


@pytest.mark.parametrize("between", [nn.GELU(), nn.AvgPool2d(2, padding=1)])
def test_a_batch_norm_behind_another_layer_stays(images, between):
    network = after_training(nn.Sequential(nn.Conv2d(3, 4, 3), between, nn.BatchNorm2d(4)), images)

    assert largest_difference(network, images) < 1e-5
    assert len(norms(fold_batch_norms(network))) == 1
