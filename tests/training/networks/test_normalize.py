import pytest
import torch

from training.networks.normalize import Normalize


def test_unit_normalization_brings_pixels_between_0_and_1_with_channels_first():
    pixels = torch.tensor([[[[0, 51, 255]]]], dtype=torch.uint8)

    normalized = Normalize.to_unit(pixels)(pixels)

    assert normalized.shape == (1, 3, 1, 1)
    assert normalized.dtype == torch.float32
    assert normalized.flatten().tolist() == pytest.approx([0, 0.2, 1])


def test_standard_normalization_gives_each_channel_mean_0_and_deviation_1():
    generator = torch.Generator().manual_seed(0)
    tops = torch.tensor([256.0, 100.0, 30.0])
    pixels = (torch.rand(50, 8, 8, 3, generator=generator) * tops).to(torch.uint8)

    normalized = Normalize.to_standard(pixels)(pixels)

    assert normalized.mean((0, 2, 3)).tolist() == pytest.approx([0, 0, 0], abs=1e-5)
    assert normalized.std((0, 2, 3), correction=0).tolist() == pytest.approx([1, 1, 1], abs=1e-4)


def test_a_channel_of_equal_pixels_is_normalized_to_0():
    pixels = torch.full((20, 4, 4, 3), 255, dtype=torch.uint8)
    pixels[..., 0] = torch.arange(20, dtype=torch.uint8)[:, None, None]

    normalized = Normalize.to_standard(pixels)(pixels)

    assert normalized[:, 0].std() > 0.9
    assert normalized[:, 1:].abs().max() < 1e-3


def test_square_roots_are_taken_before_they_are_brought_to_mean_0_and_deviation_1():
    pixels = torch.randint(0, 256, (50, 8, 8, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)

    normalize = Normalize.to_roots(pixels)

    normalized = normalize(pixels)
    assert normalized.mean((0, 2, 3)).tolist() == pytest.approx([0, 0, 0], abs=1e-5)
    assert normalized.std((0, 2, 3), correction=0).tolist() == pytest.approx([1, 1, 1], abs=1e-4)
    low, middle, high = (
        float(normalize(torch.full((1, 1, 1, 3), level, dtype=torch.uint8))[0, 0, 0, 0]) for level in (0, 64, 255)
    )
    assert (middle - low) / (high - low) == pytest.approx((64 / 255) ** 0.5, abs=1e-5)
