"""The formats of uploads, and what is said of a file that is not read."""

import io
import struct
import zlib

from PIL import Image, ImageCms, TiffImagePlugin

from serving.errors import UnreadableImage

# The formats that people have, by Pillow's names; each further one opens another decoder to strangers.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "PPM", "HEIF")
PUBLIC_NAMES = {"HEIF": "HEIC"}  # what people call a format where Pillow's name is another

# The exceptions that Pillow's decoders raise on damaged and hostile files.
DECODER_ERRORS = (
    OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, EOFError, MemoryError,
    RuntimeError, AssertionError, struct.error, zlib.error, ImageCms.PyCMSError,
)  # fmt: skip

HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1")
TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
BIG_TIFF = b"+"  # in the signature of a TIFF with offsets of 64 bits
SAMPLE_FORMATS = {2: "signed integers", 3: "floating-point numbers", 4: "undefined", 5: "complex", 6: "complex"}
SAMPLE_BITS = (1, 2, 4, 8, 16)
PHOTOMETRICS = (0, 1, 2, 3, 5, 6, 8)  # black and white, RGB, palette, CMYK, YCbCr, L*a*b*


def unreadable(upload: bytes) -> UnreadableImage:
    """Return the refusal of a file that no decoder has read: it names the format where that is known."""
    kind = _unsupported_tiff(upload) if upload.startswith(TIFF_SIGNATURES) else ""
    if kind:
        return UnreadableImage(f"The TIFF is of a kind that is not read: {kind}. Convert it to JPEG or PNG.")
    names = ", ".join(PUBLIC_NAMES.get(name, name) for name in FORMATS)
    what = "HEIC image" if _is_heic(upload) else f"image in a supported format ({names})"
    return UnreadableImage(
        f"The {len(upload):,} bytes are not a complete {what}. Send the file's bytes unchanged, or convert it to JPEG "
        "or PNG."
    )


def undefined_range(image: Image.Image) -> UnreadableImage:
    """Return the refusal of an image whose pixels have no defined white."""
    kind = "floating-point" if image.mode == "F" else "signed or 32-bit"
    return UnreadableImage(f"The image has {kind} pixels, whose range is not defined; save it with 8 or 16 bits.")


def _is_heic(upload: bytes) -> bool:
    return upload[4:8] == b"ftyp" and upload[8:12] in HEIC_BRANDS


def _unsupported_tiff(upload: bytes) -> str:
    """Return what is unusual about a TIFF; empty where nothing is, or its tags cannot be read."""
    try:
        header_length = 16 if upload[2:3] == BIG_TIFF or upload[3:4] == BIG_TIFF else 8
        tags = TiffImagePlugin.ImageFileDirectory_v2(upload[:header_length])
        file = io.BytesIO(upload)
        file.seek(tags.next)
        tags.load(file)
        return ", ".join(_unusual(tags))
    except DECODER_ERRORS:
        return ""


def _unusual(tags: TiffImagePlugin.ImageFileDirectory_v2) -> list[str]:
    compression, planar = tags.get(TiffImagePlugin.COMPRESSION, 1), tags.get(TiffImagePlugin.PLANAR_CONFIGURATION, 1)
    photometric = tags.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION, 1)
    formats, bits = tags.get(TiffImagePlugin.SAMPLEFORMAT, (1,)), tags.get(TiffImagePlugin.BITSPERSAMPLE, (1,))
    found = []
    if planar != 1:
        found.append(f"planar configuration {planar} (a plane for each channel)")
    if compression not in TiffImagePlugin.COMPRESSION_INFO:
        found.append(f"compression {compression}")
    if set(formats) != {1}:
        found.append(f"sample format {formats[0]} ({SAMPLE_FORMATS.get(formats[0], 'unknown')})")
    if len(set(bits)) > 1 or bits[0] not in SAMPLE_BITS:
        found.append(f"{' and '.join(map(str, bits))} bits a sample")
    if photometric not in PHOTOMETRICS:
        found.append(f"photometric interpretation {photometric}")
    return found
