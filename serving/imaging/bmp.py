"""Put the channels of a 32-bit BMP into the usual order: Pillow reads only a few others."""

import struct

import numpy as np

BITFIELDS = 3  # the compression of a BMP whose header has a mask for each channel
HEAD = struct.Struct("<10xII10xHI20x3I")  # offset of the pixels, header's size, bits, compression; masks
MASKS = struct.Struct("<4I")
MASKS_PLACE, ALPHA_PLACE = 54, 66
HEADER_WITH_ALPHA = 56  # bytes
PLACES = {0xFF << 8 * place: place for place in range(4)}  # of a channel's byte in a pixel, by its mask


def in_usual_order(upload: bytes) -> bytes | None:
    """Return the same BMP with each pixel's bytes as blue, green, red and alpha; None for any other file."""
    if not upload.startswith(b"BM") or len(upload) < ALPHA_PLACE + 4:
        return None
    start, header_size, bits, compression, *masks = HEAD.unpack_from(upload)
    places = [PLACES[mask] for mask in masks if mask in PLACES]
    if (bits, compression, len(set(places))) != (32, BITFIELDS, 3) or start < ALPHA_PLACE:
        return None
    (rest,) = set(range(4)).difference(places)
    has_alpha = header_size >= HEADER_WITH_ALPHA and struct.unpack_from("<I", upload, ALPHA_PLACE)[0] != 0
    end = start + (len(upload) - start) // 4 * 4
    pixels = np.frombuffer(upload[start:end], np.uint8).reshape(-1, 4)[:, [*reversed(places), rest]]
    usual = MASKS.pack(0xFF0000, 0xFF00, 0xFF, 0xFF000000 if has_alpha else 0)
    if header_size < HEADER_WITH_ALPHA:
        usual = usual[: ALPHA_PLACE - MASKS_PLACE]
    head = upload[:MASKS_PLACE] + usual + upload[MASKS_PLACE + len(usual) : start]
    return head + pixels.tobytes() + upload[end:]
