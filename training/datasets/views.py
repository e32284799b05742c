"""Views: other versions of training images, as the service will see them in photos.

Functions of pixels, uint8 [n, height, width, channels], and a generator. All is drawn on the generator's device, where
the pixels must be. Part of a view is augmented as usual; the rest is what a model gets to see of photos composed of the
images.
"""

import io
import math
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import cache, partial
from itertools import count, repeat
from multiprocessing.process import BaseProcess

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Generator, Tensor

from serving.cpu import usable_cores
from training.augment import cutout, random_shift
from training.datasets.composed import MICRO_BATCH, garment_photos, thing_photos
from training.datasets.patterns import between, grounds, uniform
from training.datasets.pixels import to_images, to_pixels
from training.datasets.served import as_served

GPU_MICRO_BATCH = 5_000  # images
GARMENT_SHARE, THING_SHARE = 0.25, 0.4  # of a view that shows photos
GARMENT_SIDE = 96  # pixels of a composed photo of a garment
PHOTOGRAPHED_VIEWS = 8  # of garments: the service takes 7 ms to read a photo, so later views have these photos again
JPEG_QUALITY = 50, 96
MIXED_SHARE = 0.3  # of the photos of things that are mixed with a pattern
MIN_PHOTOS_FOR_POOL = 2_000  # from which it pays to start processes that read them
PHOTOS_PER_TASK = 100


def garment_views(pixels: Tensor, generator: Generator) -> Iterator[Tensor]:
    """Yield views, as many as are taken: garments shifted and cut out, a share of them as the service sees photos."""
    return _views(pixels, generator, 2, GARMENT_SHARE, _garments_photographed, PHOTOGRAPHED_VIEWS)


def thing_views(pixels: Tensor, generator: Generator) -> Iterator[Tensor]:
    """Yield views: things shifted and cut out; a share nearer or farther, in other light, blurred, grey or mixed."""
    return _views(pixels, generator, 4, THING_SHARE, _things_photographed_and_mixed)


def photographed(pixels: Tensor, fit: str, generator: Generator) -> Tensor:
    """Return images, all of them as they are seen in photos; fit: "garment" of one channel, or "photo" in colour."""
    with generator.device, photo_readers():
        return (_garments_photographed if fit == "garment" else _things_photographed)(pixels, generator)


@contextmanager
def photo_readers() -> Iterator[None]:
    """Keep the processes that read photos for as long as the block draws views; without such a block they stay."""
    try:
        yield
    finally:
        if _pool.cache_info().currsize:
            _pool().shutdown(cancel_futures=True)
            _pool.cache_clear()


def mixed_with_patterns(images: Tensor, generator: Generator) -> Tensor:
    """Add a pattern to each image [n, 3, h, w], or multiply by it (after PixMix; Hendrycks et al. 2022)."""
    n, side = len(images), images.shape[-1]
    pattern, weight = grounds(n, side, generator), between(0.1, 0.5, n, generator)
    added = images * (1 - weight) + pattern * weight
    multiplied = images.clamp_min(1e-3) ** (1 - weight) * (2 * pattern).clamp_min(1e-3) ** weight
    return torch.where(uniform(n, generator) < 0.5, added, multiplied).clamp(0, 1)


def _garments_photographed(pixels: Tensor, generator: Generator) -> Tensor:
    """Return what the service sees of photos of garments, uint8 [n, h, w, 1]."""
    compose = partial(garment_photos, generator=generator, side=GARMENT_SIDE, tidy=True)
    photos = torch.cat([to_pixels(compose(to_images(some))) for some in _in_parts(pixels)]).cpu().numpy()
    low, high = JPEG_QUALITY
    qualities = torch.randint(low, high + 1, (len(photos),), generator=generator).tolist()
    tasks = photos, qualities, repeat(pixels.shape[1])
    pooled = len(photos) >= MIN_PHOTOS_FOR_POOL
    seen = _pool().map(_served, *tasks, chunksize=PHOTOS_PER_TASK) if pooled else map(_served, *tasks)
    return torch.from_numpy(np.stack(list(seen))).to(pixels.device)


def _things_photographed(pixels: Tensor, generator: Generator) -> Tensor:
    return to_pixels(_photos_of_things(pixels, generator))


def _things_photographed_and_mixed(pixels: Tensor, generator: Generator) -> Tensor:
    photos = _photos_of_things(pixels, generator)
    few = round(MIXED_SHARE * len(photos))
    mixed = [mixed_with_patterns(some, generator) for some in _in_parts(photos[:few]) if few]
    return to_pixels(torch.cat([*mixed, photos[few:]]))


def _photos_of_things(pixels: Tensor, generator: Generator) -> Tensor:
    compose = partial(thing_photos, generator=generator, side=pixels.shape[1], tidy=True)
    return torch.cat([compose(to_images(some)) for some in _in_parts(pixels)])


def _views(
    pixels: Tensor,
    generator: Generator,
    max_pixels: int,
    share: float,
    photograph: Callable[[Tensor, Generator], Tensor],
    new_photos: float = math.inf,
) -> Iterator[Tensor]:
    """Yield views of images shifted by up to so many pixels, with a grey square cut out; a share is photographed.

    new_photos: views after so many have the photos of an earlier one, shifted by up to a pixel.
    """
    taken: list[tuple[Tensor, Tensor]] = []  # by view: which images were photographed, and their photos
    for number in count():
        with generator.device:
            if number < new_photos:
                which = torch.randperm(len(pixels), generator=generator)[: round(share * len(pixels))]
                photos = photograph(pixels[which], generator) if len(which) else pixels[which]
            else:
                which, photos = taken[number % len(taken)]
                photos = torch.cat(
                    [to_pixels(random_shift(to_images(some), generator, 1)) for some in _in_parts(photos)]
                )
            if number < new_photos < math.inf:
                taken.append((which, photos))
            view = torch.cat([_augmented(some, generator, max_pixels) for some in _in_parts(pixels)])
            view[which] = photos
        yield view


def _augmented(pixels: Tensor, generator: Generator, max_pixels: int) -> Tensor:
    return to_pixels(cutout(random_shift(to_images(pixels), generator, max_pixels) - 0.5, generator) + 0.5)


def _in_parts(tensor: Tensor) -> tuple[Tensor, ...]:
    parts: tuple[Tensor, ...] = tensor.split(MICRO_BATCH if tensor.device.type == "cpu" else GPU_MICRO_BATCH)
    return parts


@cache
def _pool() -> ProcessPoolExecutor:
    """Return processes that read photos, which end with this one; a copy of this one would have its threads' locks."""
    return ProcessPoolExecutor(max(1, int(usable_cores())), multiprocessing.get_context("spawn"), _end_with_parent)


def _end_with_parent() -> None:
    """Leave Ctrl-C to the parent, and have this process end with it: if that was killed, it would wait forever."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if parent := multiprocessing.parent_process():
        threading.Thread(target=_exit_after, args=(parent,), daemon=True).start()


def _exit_after(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)


def _served(photo: NDArray[np.uint8], quality: int, side: int) -> NDArray[np.uint8]:
    """Return the input [side, side, 1] that the service makes of a photo [h, w, 3], saved as JPEG."""
    file = io.BytesIO()
    Image.fromarray(photo).save(file, "JPEG", quality=quality)
    return as_served(file.getvalue(), "garment", (side, side, 1))
