"""Near duplicates are found by perceptual hashes."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image, ImageEnhance

from training.datasets import duplicates
from training.datasets.duplicates import MAX_BITS, near_duplicates, perceptual_hashes
from training.evaluation.ood_sets import PHOTOS

SIDE = 64


def pixels(images: list[Image.Image]) -> torch.Tensor:
    return torch.from_numpy(np.stack([np.asarray(image.resize((SIDE, SIDE))) for image in images]))


def pairs(images: torch.Tensor) -> list[list[int]]:
    return np.concatenate(list(near_duplicates(images))).tolist()


@pytest.fixture(scope="module")
def photos() -> list[Image.Image]:
    """Sixteen different photos and textures."""
    folder = Path(skimage.data.__file__).parent
    return [Image.open(folder / name).convert("RGB") for name in PHOTOS]


def test_different_photos_are_no_duplicates(photos):
    assert pairs(pixels(photos)) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda photo: photo.resize((photo.width // 2, photo.height // 2)),
        lambda photo: ImageEnhance.Brightness(photo).enhance(1.2),
    ],
    ids=["half the size", "brighter"],
)
def test_the_same_photos_changed_a_little_are_found_again(photos, change):
    found = pairs(pixels([*photos, *map(change, photos)]))

    assert found == [[place, place + len(photos)] for place in range(len(photos))]


def test_photos_that_differ_in_their_texture_alone_are_no_duplicates(photos):
    stripes = 30 * np.sin(np.arange(SIDE) * 2 * np.pi / 12)  # finer than what is hashed
    photo = pixels(photos[:1])[0].numpy()
    across, down = (photo + wave[..., None] for wave in (stripes[None], stripes[:, None]))
    textured = torch.from_numpy(np.stack([across, down]).clip(0, 255).astype(np.uint8))
    one, other = map(int, perceptual_hashes(textured))

    assert (one ^ other).bit_count() <= MAX_BITS
    assert pairs(textured) == []


def test_plain_images_are_no_duplicates():
    plain = torch.arange(0, 200, 20, dtype=torch.uint8)[:, None, None, None].expand(-1, 28, 28, 1)

    assert pairs(plain) == []


def test_the_memory_for_comparing_hashes_does_not_grow_with_the_number_of_images(monkeypatch):
    monkeypatch.setattr(duplicates, "PAIRS_AT_ONCE", 1_000_000)
    pixels = torch.randint(0, 256, (6_000, 16, 16, 1), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    blocks = near_duplicates(pixels)
    next(blocks)  # the hashes are there now

    tracemalloc.start()
    rest = list(blocks)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert len(rest) > 30
    assert peak < 20_000_000  # blocks of 1,000 images take 54 MB


def test_a_film_of_many_frames_takes_no_object_for_each_of_its_pairs(photos):
    frame = pixels(photos[:1]).float()
    noise = torch.randn(1_200, SIDE, SIDE, 3, generator=torch.Generator().manual_seed(0))
    film = (frame + noise).clamp(0, 255).to(torch.uint8)

    blocks = list(near_duplicates(film))

    assert sum(map(len, blocks)) == 1_200 * 1_199 // 2
    assert len(blocks) == 2
