"""The number format of a training: chosen by the network's layers and by the hardware."""

import pytest
import torch
from torch import nn

from training.networks.base import Network
from training.networks.cnn import CNN
from training.networks.mlp import MLP
from training.networks.net import Net
from training.train.precision import CPU_FLOAT32, Precision, fastest, micro_batch

CPU = torch.device("cpu")


def test_an_mlp_stays_in_float32():
    precision = fastest(MLP(), CPU)

    assert (precision.dtype, precision.layout) == (torch.float32, torch.contiguous_format)


def test_a_cnn_takes_bf16_exactly_where_the_processor_multiplies_it():
    multiplies = any(torch.cpu.get_capabilities().get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))

    assert (fastest(CNN(), CPU).dtype == torch.bfloat16) is multiplies


@pytest.mark.parametrize("device", ["mps"])
def test_a_device_not_known_to_multiply_bf16_trains_in_float32(device):
    assert fastest(CNN(), torch.device(device)).dtype == torch.float32


@pytest.mark.parametrize("network", [CNN, lambda: Net(channels=3)], ids=["cnn", "net"])
@pytest.mark.parametrize(
    ("multiplies", "dtype", "layout"),
    [(True, torch.bfloat16, torch.channels_last), (False, torch.float32, torch.contiguous_format)],
)
def test_convolutions_take_bf16_exactly_where_the_graphics_card_multiplies_it(
    monkeypatch, network, multiplies, dtype, layout
):
    def is_bf16_supported(including_emulation: bool = True) -> bool:
        return multiplies or including_emulation  # as on a card that can only emulate it

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", is_bf16_supported)

    precision = fastest(network(), torch.device("cuda"))

    assert (precision.device.type, precision.dtype, precision.layout) == ("cuda", dtype, layout)


def test_an_mlp_stays_in_float32_on_a_graphics_card_too(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)

    assert fastest(MLP(), torch.device("cuda")).dtype == torch.float32


def test_few_images_at_once_go_through_depthwise_convolutions_on_a_processor_and_whole_batches_on_a_graphics_card():
    depthwise = Network(nn.Conv2d(3, 6, 3, groups=3))

    assert micro_batch(depthwise, CPU) < micro_batch(CNN(), CPU)
    assert micro_batch(depthwise, torch.device("cuda")) is micro_batch(CNN(), torch.device("cuda")) is None


@pytest.mark.parametrize(
    "precision",
    [CPU_FLOAT32, Precision(CPU, torch.bfloat16, torch.channels_last)],
    ids=["float32 in order", "bf16 channels last"],
)
def test_images_are_cast_to_format_and_layout(precision):
    images = torch.rand(11, 3, 8, 8)

    cast = precision.cast(images)

    assert torch.equal(cast, images.to(precision.dtype))
    assert cast.dtype == precision.dtype
    assert cast.is_contiguous(memory_format=precision.layout)


def test_a_network_moved_to_a_device_and_back_gives_the_same_logits():
    network = CNN().eval()
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        before = network(images)
        after = CPU_FLOAT32.to_device(fastest(network, CPU).to_device(network))(images)

    torch.testing.assert_close(after, before)


def test_the_precision_of_the_exported_graph_is_float32():
    with torch.inference_mode(), CPU_FLOAT32.autocast():
        assert CNN()(torch.rand(1, 3, 32, 32)).dtype == torch.float32
