"""Views: other versions of training images, as the service will see them in photos.

Pure functions from pixels, uint8 [n, height, width, channels], and a generator to as many pixels of the same shape.
Part of a view is augmented as usual; the rest is what a model gets to see of photos composed of the images.
"""

import io
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Generator, Tensor

from training.augment import cutout, random_shift
from training.datasets.composed import garment_photos, thing_photos
from training.datasets.patterns import between, grounds, uniform
from training.datasets.pixels import to_images, to_pixels
from training.datasets.served import as_served

AT_ONCE = 250  # images: so many stay in the processor's cache
GARMENT_SHARE, THING_SHARE = 0.25, 0.4  # of a view that shows photos
GARMENT_SIDE = 96  # pixels of a composed photo of a garment
JPEG_QUALITY = 50, 96
MIXED_SHARE = 0.3  # of the photos of things that are mixed with a pattern


def garment_view(pixels: Tensor, generator: Generator) -> Tensor:
    """Return garments shifted and cut out; a share of them photographed, found and made the input by the service."""
    return _mostly_augmented(pixels, generator, 2, GARMENT_SHARE, partial(_garments_photographed, generator=generator))


def thing_view(pixels: Tensor, generator: Generator) -> Tensor:
    """Return things shifted and cut out; a share of them nearer or farther, in other light, blurred, grey or mixed."""

    def mixed(things: Tensor) -> Tensor:
        photos = thing_photos(things, generator, pixels.shape[1], tidy=True)
        few = round(MIXED_SHARE * len(photos))
        return to_pixels(torch.cat([mixed_with_patterns(photos[:few], generator), photos[few:]]))

    return _mostly_augmented(pixels, generator, 4, THING_SHARE, mixed)


def photographed(pixels: Tensor, fit: str, generator: Generator) -> Tensor:
    """Return images, all of them as they are seen in photos; fit: "garment" of one channel, or "photo" in colour."""
    photograph = _garments_photographed if fit == "garment" else _things_photographed
    return torch.cat([photograph(to_images(some), generator) for some in pixels.split(AT_ONCE)])


def mixed_with_patterns(images: Tensor, generator: Generator) -> Tensor:
    """Add a pattern to each image [n, 3, h, w], or multiply by it (after PixMix; Hendrycks et al. 2022)."""
    n, side = len(images), images.shape[-1]
    pattern, weight = grounds(n, side, generator), between(0.1, 0.5, n, generator)
    added = images * (1 - weight) + pattern * weight
    multiplied = images.clamp_min(1e-3) ** (1 - weight) * (2 * pattern).clamp_min(1e-3) ** weight
    return torch.where(uniform(n, generator) < 0.5, added, multiplied).clamp(0, 1)


def _garments_photographed(garments: Tensor, generator: Generator) -> Tensor:
    return _as_seen(garment_photos(garments, generator, GARMENT_SIDE, tidy=True), garments.shape[-1], generator)


def _things_photographed(things: Tensor, generator: Generator) -> Tensor:
    return to_pixels(thing_photos(things, generator, things.shape[-1], tidy=True))


def _mostly_augmented(
    pixels: Tensor, generator: Generator, max_pixels: int, share: float, photographed: Callable[[Tensor], Tensor]
) -> Tensor:
    """Return images shifted by up to so many pixels, with a grey square cut out; a random share is photographed."""
    view = torch.empty_like(pixels)
    for some in torch.randperm(len(pixels), generator=generator).split(AT_ONCE):
        photos, others = some.split([count := round(share * len(some)), len(some) - count])
        shifted = random_shift(to_images(pixels[others]), generator, max_pixels)
        view[others] = to_pixels(cutout(shifted - 0.5, generator) + 0.5)
        if count:
            view[photos] = photographed(to_images(pixels[photos]))
    return view


def _as_seen(photos: Tensor, side: int, generator: Generator) -> Tensor:
    """Return the inputs [n, side, side, 1] that the service makes of photos of garments [n, 3, h, w]."""
    low, high = JPEG_QUALITY
    qualities = torch.randint(low, high + 1, (len(photos),), generator=generator).tolist()
    seen = list(_served(to_pixels(photos).numpy(), qualities, side))
    return torch.from_numpy(np.stack(seen))


def _served(photos: NDArray[np.uint8], qualities: list[int], side: int) -> Iterator[NDArray[np.uint8]]:
    for photo, quality in zip(photos, qualities, strict=True):
        file = io.BytesIO()
        Image.fromarray(photo).save(file, "JPEG", quality=quality)
        yield as_served(file.getvalue(), "garment", (side, side, 1))
