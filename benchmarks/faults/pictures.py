"""Images of our own making in every format that is read, and mutations of them."""

import io
import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import pillow_heif
from PIL import Image

HEADER_BYTES = 64  # most decisions of a decoder hang on these
NASTY = (b"\0", b"\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\xff", b"\x80\0\0\0", b"\0\0\0\0", b"\xff\xff", b"\1\0\0\0")
SAVED: Mapping[str, tuple[str, str, dict[str, Any]]] = {  # mode, Pillow's name of the format, how it is saved
    "png": ("RGB", "PNG", {}),
    "png-grey": ("L", "PNG", {}),
    "png-16": ("I;16", "PNG", {}),
    "png-alpha": ("RGBA", "PNG", {}),
    "png-palette": ("P", "PNG", {}),
    "jpeg": ("RGB", "JPEG", {"quality": 90}),
    "jpeg-progressive": ("RGB", "JPEG", {"progressive": True, "exif": b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0"}),
    "jpeg-cmyk": ("CMYK", "JPEG", {}),
    "webp": ("RGB", "WEBP", {}),
    "webp-lossless": ("RGBA", "WEBP", {"lossless": True}),
    "gif": ("P", "GIF", {}),
    "bmp": ("RGB", "BMP", {}),
    "bmp-palette": ("P", "BMP", {}),
    "tiff": ("RGB", "TIFF", {}),
    "tiff-lzw": ("RGB", "TIFF", {"compression": "tiff_lzw"}),
    "tiff-jpeg": ("RGB", "TIFF", {"compression": "jpeg"}),
    "tiff-deflate": ("L", "TIFF", {"compression": "tiff_adobe_deflate"}),
    "avif": ("RGB", "AVIF", {}),
    "ppm": ("RGB", "PPM", {}),
    "pgm": ("L", "PPM", {}),
    "heic": ("RGB", "HEIF", {}),
}


def pictures() -> dict[str, bytes]:
    """Return an image in each format and its usual variants, by name; the first frame of several for GIF and WebP."""
    pillow_heif.register_heif_opener()
    waves = np.sin(np.mgrid[:48, :64, :3].sum(0) / 7) * 100 + np.random.default_rng(0).integers(100, 150, (48, 64, 3))
    image = Image.fromarray(waves.clip(0, 255).astype(np.uint8))
    found = {name: _saved(image, mode, kind, how) for name, (mode, kind, how) in SAVED.items()}
    frames = {"save_all": True, "append_images": [image.rotate(90)]}
    return found | {f"{kind}-moving": _saved(image, "RGB", kind.upper(), frames) for kind in ("gif", "webp")}


def _saved(image: Image.Image, mode: str, kind: str, how: Mapping[str, Any]) -> bytes:
    file = io.BytesIO()
    if mode == "I;16":  # to which Pillow converts no colours
        converted = Image.fromarray(np.asarray(image.convert("L"), np.uint16) * 257)
    else:
        converted = image.convert(mode)
    converted.save(file, kind, **how)
    return file.getvalue()


def mutated(source: random.Random, files: Mapping[str, bytes]) -> tuple[str, bytes]:
    """Return the name of a file and the file after one to four mutations."""
    name = source.choice(sorted(files))
    data = bytearray(files[name])
    for _ in range(source.randint(1, 4)):
        _mutate(source, data, files)
    return name, bytes(data)


def _mutate(source: random.Random, data: bytearray, files: Mapping[str, bytes]) -> None:
    """Cut, flip, overwrite, insert, repeat, or continue with the rest of another file; half of the time in its head."""
    place = source.randrange(min(len(data), HEADER_BYTES if source.random() < 0.5 else len(data)) or 1)
    match source.choice(("cut", "flip", "overwrite", "insert", "repeat", "splice")):
        case "cut":
            del data[place + 1 :]
        case "flip":
            data[place : place + 1] = bytes([(data[place : place + 1] or b"\0")[0] ^ (1 << source.randrange(8))])
        case "overwrite":
            nasty = source.choice(NASTY)
            data[place : place + len(nasty)] = nasty
        case "insert":
            data[place:place] = source.randbytes(source.randint(1, 32))
        case "repeat":
            data[place:place] = data[place : place + source.randint(1, 200)] * source.randint(1, 50)
        case "splice":
            other = files[source.choice(sorted(files))]
            data[place:] = other[source.randrange(len(other)) :]
