"""Near duplicates: the same picture saved anew, in another size or light, or photographed a moment later."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from training.datasets.pixels import as_many, to_images

HASHED_SIDE = 32  # pixels, of the grey image whose frequencies are hashed
FREQUENCIES = 8  # the lowest in each direction: they survive what saving anew changes
MAX_BITS = 6  # of 64 that may differ
THUMBNAIL_SIDE = 16
# Of thumbnails: many a small or plain image nearly shares its hash with quite another. With both limits, each of 16
# photos is found again at half its size, at JPEG's quality 40, and brighter by a fifth; among 2,000 images of CIFAR-10
# no pair is reported, among 2,000 of Fashion-MNIST 26 are.
MIN_CORRELATION = 0.98
MIN_CONTRAST = 0.2  # of a thumbnail, as the length of its differences from their mean
BLOCK = 1_000  # images at once, at most; to resize them, small ones
PAIRS_AT_ONCE = 10_000_000  # whose hashes are compared: they take 90 MB, however many images there are


def near_duplicates(pixels: Tensor) -> Iterator[NDArray[np.int64]]:
    """Yield the places of pairs of near duplicates, int64 [k, 2], among pixels, uint8 [n, height, width, channels].

    Their perceptual hashes differ in few bits, and their thumbnails correlate. The frames of a film are millions of
    pairs: they come as an array for each block of images.
    """
    hashes, thumbnails = perceptual_hashes(pixels), _thumbnails(pixels)
    places = np.arange(len(hashes))
    size = min(BLOCK, PAIRS_AT_ONCE // len(hashes) + 1)
    for start in range(0, len(hashes), size):
        block = slice(start, start + size)
        near = np.bitwise_count(hashes[block, None] ^ hashes[None]) <= MAX_BITS
        near &= places[block, None] < places
        rows, columns = near.any(1).nonzero()[0], near.any(0).nonzero()[0]
        alike = (thumbnails[start + rows] @ thumbnails[columns].T).numpy() >= MIN_CORRELATION
        one, other = (near[np.ix_(rows, columns)] & alike).nonzero()
        yield np.stack([start + rows[one], columns[other]], axis=1)


def perceptual_hashes(pixels: Tensor) -> NDArray[np.uint64]:
    """Return a hash [n] of each image: which of its low frequencies are above their median (pHash, Zauner 2010).

    pixels: uint8 [n, height, width, channels].
    """
    grey = _resized(pixels, HASHED_SIDE).mean(1)
    steps = torch.arange(HASHED_SIDE) + 0.5
    cosines = torch.cos(torch.pi / HASHED_SIDE * torch.arange(FREQUENCIES)[:, None] * steps)  # [frequencies, side]
    spectrum = (cosines @ grey @ cosines.T).flatten(1)
    above = spectrum > spectrum[:, 1:].median(1, keepdim=True).values  # without the mean brightness, the first
    return np.packbits(above.numpy(), axis=1).view(np.uint64)[:, 0]


def _thumbnails(pixels: Tensor) -> Tensor:
    """Return each image as a vector of mean 0 and length 1; that of a plain one is shorter, so that it is like none."""
    small = _resized(pixels, THUMBNAIL_SIDE).flatten(1)
    centred = small - small.mean(1, keepdim=True)
    return functional.normalize(centred, eps=MIN_CONTRAST)


def _resized(pixels: Tensor, side: int) -> Tensor:
    """Return images [n, channels, side, side] between 0 and 1."""
    sides = (side, side)
    parts = map(to_images, pixels.split(as_many(BLOCK, pixels)))
    return torch.cat([functional.interpolate(part, sides, mode="bilinear", antialias=True) for part in parts])
