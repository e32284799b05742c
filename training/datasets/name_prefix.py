"""The label that the name of an image's file begins with, before a number."""

import re
import unicodedata
from itertools import takewhile

PREFIX = re.compile(r"(.*?[^\W\d_])([\W_]*)\d")  # of rose_1 and rose-01-closed: rose, and what stands before the number
CAMERA_PREFIXES = {"dsc", "dscf", "dscn", "image", "img", "mvimg", "photo", "pxl", "screenshot"}  # they name no label


def prefix_of(stem: str) -> str:
    """Return the label at the beginning of a name; "" where there is none, and where a camera gave the name.

    Marks that belong to its last letter, such as an accent of its own or a vowel sign, are part of it.
    """
    if not (match := PREFIX.match(stem)):
        return ""
    marks = takewhile(lambda sign: unicodedata.category(sign).startswith("M"), match[2])
    label = f"{match[1]}{''.join(marks)}".strip()
    return "" if label.lower() in CAMERA_PREFIXES else label
