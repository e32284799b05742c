"""The format in which a network trains: chosen by its layers and by the hardware."""

import pytest
import torch

from training.networks import CNN, MLP, Normalise
from training.precision import PLAIN, fastest

CPU = torch.device("cpu")


def test_an_mlp_stays_in_float32():
    precision = fastest(MLP(), CPU)

    assert (precision.dtype, precision.layout) == (torch.float32, torch.contiguous_format)


def test_a_cnn_takes_bf16_exactly_where_the_processor_multiplies_it():
    multiplies = any(torch.cpu.get_capabilities().get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))

    assert (fastest(CNN(), CPU).dtype == torch.bfloat16) is multiplies


@pytest.mark.parametrize("device", ["mps"])
def test_a_device_that_is_not_known_to_multiply_bf16_trains_in_float32(device):
    assert fastest(CNN(), torch.device(device)).dtype == torch.float32


def test_images_are_placed_in_format_and_layout():
    precision = fastest(CNN(), CPU)

    pixels = torch.randint(0, 256, (1_001, 8, 8, 3), dtype=torch.uint8)
    normalise = Normalise.to_unit(pixels)

    placed = precision.place(pixels, normalise)

    torch.testing.assert_close(placed, normalise(pixels).to(precision.dtype))
    assert placed.dtype == precision.dtype
    assert placed.is_contiguous(memory_format=precision.layout)


def test_a_network_laid_out_and_back_answers_as_before():
    network = CNN().eval()
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        before = network(images)
        after = PLAIN.lay_out(fastest(network, CPU).lay_out(network))(images)

    torch.testing.assert_close(after, before)


def test_plain_precision_computes_in_float32():
    with torch.inference_mode(), PLAIN.autocast():
        assert CNN()(torch.rand(1, 3, 32, 32)).dtype == torch.float32
