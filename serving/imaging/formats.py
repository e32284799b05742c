"""The supported image formats, and the refusals of files that cannot be read."""

import base64
import io
import re
import struct
import zlib
from itertools import product

from PIL import Image, ImageCms, TiffImagePlugin

from serving.errors import UnreadableImage
from serving.imaging import bmp

# The formats that people have, by Pillow's names; each further one opens another decoder to strangers.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "PPM", "HEIF")
PUBLIC_NAMES = {"HEIF": "HEIC"}  # what people call a format where Pillow's name is another

# The exceptions that Pillow's decoders raise on damaged and hostile files.
DECODER_ERRORS = (
    OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, EOFError, MemoryError,
    RuntimeError, AssertionError, struct.error, zlib.error, ImageCms.PyCMSError,
)  # fmt: skip

HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1")
JPEG_SIGNATURE = b"\xff\xd8\xff"
SIGNATURES = (JPEG_SIGNATURE, b"\x89PNG", b"GIF8", b"RIFF", b"BM", b"II*\0", b"MM\0*")  # of files that are sent as text
# Base64, as programs write it: in quotes, as Python shows its bytes, behind the head of a data: URL.
BASE64_HEAD = re.compile(rb"""\s*(?:b?['"])?(?:data:[^,]{0,200},|[a-z/+-]{0,30};?base64,)?([A-Za-z0-9+/_-]{16})""")
# The frames of a JPEG that are not Huffman-coded samples of 8 bits in one or several scans (ITU-T T.81, table B.1).
FRAMES = {
    0xC3: "lossless", 0xC5: "hierarchical", 0xC6: "hierarchical", 0xC7: "hierarchical", 0xCB: "lossless",
    0xCD: "hierarchical", 0xCE: "hierarchical", 0xCF: "hierarchical", 0xF7: "JPEG-LS",
}  # fmt: skip
USUAL_FRAMES = (0xC0, 0xC1, 0xC2, 0xC9, 0xCA)
SEGMENT = struct.Struct(">BBHB")  # 0xFF, the marker, the length of what follows it; bits of a sample, in a frame
MAX_SEGMENTS = 256  # of a JPEG before its frame
GZIP_SIGNATURE = b"\x1f\x8b"
TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
BIG_TIFF = b"+"  # in the signature of a TIFF with offsets of 64 bits
BIG_ENDIAN_BIG_TIFF = b"MM\0+"  # of which Pillow takes the offsets for those of 32 bits
SAMPLE_FORMATS = {2: "signed integers", 3: "floating-point numbers", 4: "undefined", 5: "complex", 6: "complex"}
SAMPLE_BITS = (1, 2, 4, 8, 16)
PHOTOMETRICS = {
    0: "grey, white is zero", 1: "grey", 2: "RGB", 3: "palette", 5: "CMYK", 6: "YCbCr", 8: "L*a*b*",
}  # fmt: skip
GREY_PHOTOMETRICS = (0, 1)
PLANES = "planar configuration 2 (a plane for each channel)"
PLANAR_MODES = ("RGB", "RGBA", "CMYK")  # that Pillow reads from planes
MAX_SAMPLES = 8  # of a pixel: of more, Pillow reads none


def unreadable(upload: bytes) -> UnreadableImage:
    """Return the refusal of a file that no decoder has read: it names the format where that is known."""
    if upload.startswith(TIFF_SIGNATURES) and (kind := _unsupported_tiff(upload)):
        return _unsupported("TIFF", kind)
    if upload.startswith(JPEG_SIGNATURE) and (kind := _unsupported_jpeg(upload)):
        return _unsupported("JPEG", kind)
    if upload.startswith(b"BM") and (kind := bmp.unsupported(upload)):
        return _unsupported("BMP", kind)
    if _is_base64(upload):
        return UnreadableImage(
            f"The {len(upload):,} bytes are an image's base64, not the image. Send the bytes that it stands for or, in "
            'JSON, their base64, encoded once: {"image": "..."}.'
        )
    if upload.startswith(GZIP_SIGNATURE):
        return UnreadableImage(
            f"The {len(upload):,} bytes are compressed with gzip. Send the image itself or, as the body, with the "
            "header Content-Encoding: gzip."
        )
    names = ", ".join(PUBLIC_NAMES.get(name, name) for name in FORMATS)
    what = "HEIC image" if _is_heic(upload) else f"image in a supported format ({names})"
    return UnreadableImage(
        f"The {len(upload):,} bytes are not a complete {what}. Send the file's bytes unchanged, or convert it to JPEG "
        "or PNG."
    )


def register_deep_tiffs() -> None:
    """Tell Pillow of TIFFs of 16 bits that it does not know: big-endian grey whose zero is white, and grey with alpha.

    It has no mode for the latter, and reads their four bytes as if they were CMYK.
    """
    known = TiffImagePlugin.OPEN_INFO
    known[TiffImagePlugin.MM, 0, (1,), 1, (16,), ()] = "I;16B", "I;16B"
    for order, photometric, extra in product((TiffImagePlugin.II, TiffImagePlugin.MM), GREY_PHOTOMETRICS, (0, 1, 2)):
        known[order, photometric, (1,), 1, (16, 16), (extra,)] = "CMYK", "CMYK"


def is_grey_pair(image: Image.Image) -> bool:
    """Whether an image of mode CMYK has the bytes of grey and alpha in it, of 16 bits each."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile) or image.mode != "CMYK":
        return False
    return image.tag_v2.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION, 0) in GREY_PHOTOMETRICS


def check_planes(image: Image.Image) -> None:
    """Raise UnreadableImage for a TIFF with a plane for each channel of which Pillow would make another image.

    The image must not be loaded yet.
    """
    if not isinstance(image, TiffImagePlugin.TiffImageFile) or len(image.getbands()) == 1:
        return
    if image.tag_v2.get(TiffImagePlugin.PLANAR_CONFIGURATION, 1) == 1:
        return
    bits, order = image.tag_v2.get(TiffImagePlugin.BITSPERSAMPLE, (1,)), image.tag_v2.get(TiffImagePlugin.FILLORDER, 1)
    is_raw = image.tile[0].codec_name == "raw"  # libtiff reads those that are compressed
    if (is_raw and (bits[0] > 8 or order != 1)) or image.mode not in PLANAR_MODES or is_grey_pair(image):
        reversed_bits = ", in reverse order" if order != 1 else ""
        raise _unsupported("TIFF", f"{PLANES} with {' and '.join(map(str, bits))} bits a sample{reversed_bits}")


def undefined_range(image: Image.Image) -> UnreadableImage:
    """Return the refusal of an image whose pixels have no defined white."""
    kind = "floating-point" if image.mode == "F" else "signed or 32-bit"
    return UnreadableImage(f"The image has {kind} pixels, whose range is not defined; save it with 8 or 16 bits.")


def _unsupported(name: str, kind: str) -> UnreadableImage:
    target = "PNG" if name == "JPEG" else "JPEG or PNG"
    return UnreadableImage(f"This kind of {name} is unsupported: {kind}. Convert it to {target}.")


def _is_base64(upload: bytes) -> bool:
    """Whether a file is the base64 of an image, to judge by its beginning."""
    head = BASE64_HEAD.match(upload)
    return head is not None and _is_image(base64.urlsafe_b64decode(head[1].replace(b"+", b"-").replace(b"/", b"_")))


def _is_image(start: bytes) -> bool:
    return start.startswith(SIGNATURES) or start[4:8] == b"ftyp"


def _unsupported_jpeg(upload: bytes) -> str:
    """Return what is unusual about the frame of a JPEG; empty where nothing is, or it has none."""
    place = 2
    for _ in range(MAX_SEGMENTS):
        if place + SEGMENT.size > len(upload):
            break
        prefix, marker, length, bits = SEGMENT.unpack_from(upload, place)
        if prefix != 0xFF:
            break
        if marker in USUAL_FRAMES:
            return "" if bits == 8 else f"{bits} bits a sample"
        if marker in FRAMES:
            return FRAMES[marker]
        place += 2 + length
    return ""


def _is_heic(upload: bytes) -> bool:
    return upload[4:8] == b"ftyp" and upload[8:12] in HEIC_BRANDS


def _unsupported_tiff(upload: bytes) -> str:
    """Return what is unusual about a TIFF; empty where nothing is, or its tags cannot be read."""
    if upload.startswith(BIG_ENDIAN_BIG_TIFF):
        return "offsets of 64 bits (BigTIFF) in big-endian order"
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
    photometric = tags.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION, 0)
    formats, bits = tags.get(TiffImagePlugin.SAMPLEFORMAT, (1,)), tags.get(TiffImagePlugin.BITSPERSAMPLE, (1,))
    found = []
    if planar != 1:
        found.append(PLANES)
    if compression not in TiffImagePlugin.COMPRESSION_INFO:
        found.append(f"compression {compression}")
    if set(formats) != {1}:
        found.append(f"sample format {formats[0]} ({SAMPLE_FORMATS.get(formats[0], 'unknown')})")
    if len(set(bits)) > 1 or bits[0] not in SAMPLE_BITS:
        found.append(f"{' and '.join(map(str, bits))} bits a sample")
    if photometric not in PHOTOMETRICS:
        found.append(f"photometric interpretation {photometric}")
    return found or _unusual_samples(tags, photometric, bits)


def _unusual_samples(tags: TiffImagePlugin.ImageFileDirectory_v2, photometric: int, bits: tuple[int, ...]) -> list[str]:
    """Return what is unusual about the samples of a pixel together; nothing where Pillow knows them."""
    count = min(tags.get(TiffImagePlugin.SAMPLESPERPIXEL, len(bits)), MAX_SAMPLES)
    bits = (bits * count if len(bits) == 1 else bits)[:count]
    extra, order = tags.get(TiffImagePlugin.EXTRASAMPLES, ()), tags.get(TiffImagePlugin.FILLORDER, 1)
    if (tags.prefix, photometric, (1,), order, bits, extra) in TiffImagePlugin.OPEN_INFO:
        return []
    further = f"; extra samples (as of transparency): {len(extra)}" if extra else ""
    name = PHOTOMETRICS[photometric]
    return [
        f"photometric interpretation {photometric} ({name}) with {' and '.join(map(str, bits))} bits a sample{further}"
    ]
