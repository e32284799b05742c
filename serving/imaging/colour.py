"""Convert an image's colours to sRGB, in which the models were trained, as its colour profile says."""

import hashlib
import io
from collections import OrderedDict
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageCms

from serving.imaging.formats import DECODER_ERRORS
from serving.imaging.icc import is_quick
from serving.imaging.modes import Converted
from serving.imaging.profiles import find_profile, is_unknown_coding

MAX_PROFILE_BYTES = 3_000_000  # those of printing presses have up to so many, others a tenth
MAX_CACHED = 16  # profiles; LittleCMS keeps up to 2 MB for each
SAME_LEVELS = 2  # of 255: a profile that changes no colour by more is sRGB by another name

MODES = {"GRAY": "L", "RGB ": "RGB", "CMYK": "CMYK"}  # of the images that a profile is for, by its colour space
TO_GREY = {"RGB": "L", "RGBA": "LA"}  # of grey images whose decoder gives colours, as that of WebP always does
COLOUR_SPACE, GREY = slice(16, 20), b"GRAY"  # in a profile
IMAGE_CLASSES = ("mntr", "scnr", "prtr", "spac")  # of profiles that describe images: no device links, no named colours
GREY_RAMP = Image.frombytes("L", (256, 1), bytes(range(256)))


class Conversion(NamedTuple):
    """How the colours of a profile become sRGB; without levels and transform they are sRGB already.

    usable: the profile is sound, and for such images. levels: sRGB's by the image's level of grey.
    """

    usable: bool
    levels: bytes = b""
    transform: ImageCms.ImageCmsTransform | None = None


class ConversionCache:
    """Keeps the conversions of the profiles that were met last, by a hash of their bytes."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._known: OrderedDict[tuple[bytes, str], Conversion] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def get(self, profile: bytes, mode: str) -> Conversion:
        """Return how images of this mode, L, RGB or CMYK, are converted."""
        key = hashlib.sha256(profile).digest(), mode
        found = self._known.pop(key, None) or _conversion(profile, mode)
        self._known[key] = found
        if len(self._known) > self._size:
            self._known.popitem(last=False)
        return found


CONVERSIONS = ConversionCache(MAX_CACHED)


def to_srgb(image: Image.Image, info: Mapping[Any, Any]) -> Converted:
    """Convert an image of mode L, LA, RGB, RGBA or CMYK by the profile in its file's info; ignore one of no use."""
    if not info.get("icc_profile", True) or is_unknown_coding(info):  # the former is damaged or empty
        return image, ("profile-ignored",)
    profile = find_profile(info)
    if profile[COLOUR_SPACE] == GREY and image.mode in TO_GREY and _is_nearly_grey(image):
        image = image.convert(TO_GREY[image.mode])
    mode = image.mode.removesuffix("A")
    if not profile or mode not in MODES.values():
        return image, ()
    conversion = CONVERSIONS.get(profile, mode) if len(profile) <= MAX_PROFILE_BYTES else Conversion(usable=False)
    if not conversion.usable:
        return image, ("profile-ignored",)
    if conversion.levels:
        converted = image.getchannel("L").point(list(conversion.levels))
    elif conversion.transform:
        converted = conversion.transform.apply(image.convert(mode))
    else:
        return image, ()
    if image.mode != mode:
        converted.putalpha(image.getchannel("A"))
    return converted, ("srgb",)


def _is_nearly_grey(image: Image.Image) -> bool:
    pixels = np.asarray(image)[..., :3]
    return bool((pixels.max(axis=-1) - pixels.min(axis=-1) <= SAME_LEVELS).all())


def _conversion(profile: bytes, mode: str) -> Conversion:
    if not is_quick(profile):
        return Conversion(usable=False)
    try:
        opened = ImageCms.getOpenProfile(io.BytesIO(profile))
        if opened.profile.device_class not in IMAGE_CLASSES:
            return Conversion(usable=False)
        profile_mode = MODES[opened.profile.xcolor_space]
        if mode not in (profile_mode, "L") or (mode == "L" and profile_mode == "CMYK"):  # grey may come with RGB's
            return Conversion(usable=False)
        transform = ImageCms.buildTransform(opened, _srgb(), profile_mode, "RGB")
        return _grey(transform, profile_mode) if mode == "L" else _coloured(transform, profile_mode)
    except DECODER_ERRORS:
        return Conversion(usable=False)


def _grey(transform: ImageCms.ImageCmsTransform, profile_mode: str) -> Conversion:
    levels = transform.apply(GREY_RAMP.convert(profile_mode)).convert("L").tobytes()
    same = max(abs(level - place) for place, level in enumerate(levels)) <= SAME_LEVELS
    return Conversion(usable=True, levels=b"" if same else levels)


def _coloured(transform: ImageCms.ImageCmsTransform, profile_mode: str) -> Conversion:
    colours = _all_colours()
    same = profile_mode == "RGB" and _difference(transform.apply(colours), colours) <= SAME_LEVELS
    return Conversion(usable=True, transform=None if same else transform)


@lru_cache(maxsize=1)
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


@lru_cache(maxsize=1)
def _all_colours() -> Image.Image:
    """Return an image with a grid of all colours."""
    levels = np.arange(0, 256, 15, dtype=np.uint8)
    grid = np.stack(np.meshgrid(levels, levels, levels), axis=-1)
    return Image.fromarray(grid.reshape(len(levels), -1, 3))


def _difference(one: Image.Image, other: Image.Image) -> int:
    return int(np.abs(np.asarray(one, np.int16) - np.asarray(other, np.int16)).max())
