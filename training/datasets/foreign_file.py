"""A file that is given in place of a folder of images or of a table: what it is, and what to do with it."""

from pathlib import Path
from typing import NamedTuple

from serving.imaging.suffixes import SUFFIXES

FIRST_BYTES = 264  # up to the end of the magic number of a tar file
TAR_MAGIC, TAR_OFFSET = b"ustar", 257


class Kind(NamedTuple):
    """A kind of files: what one is and what to do with it, the suffixes of its names and how its content begins."""

    advice: str
    suffixes: tuple[str, ...]
    magics: tuple[bytes, ...] = ()


# The first kind counts whose suffix or whose magic number a file has: a document or a model may be a ZIP archive, too.
KINDS = (
    Kind(
        "a document: save its table as a CSV in UTF-8, and name that",
        (".xlsx", ".xls", ".ods", ".numbers", ".docx", ".odt"),
    ),
    Kind(
        "a model: name the images here; models go to --model, --backbone or --checkpoint",
        (".onnx", ".pt", ".pth", ".safetensors", ".ckpt", ".h5", ".keras", ".tflite"),
    ),
    Kind(
        "an archive: unpack it, and name the folder or the CSV that was in it",
        (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".zst", ".7z", ".rar"),
        (b"PK\3\4", b"PK\5\6", b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"7z\xbc\xaf", b"Rar!"),
    ),
    Kind(
        "one image: name the folder that has a folder of images for each label in it",
        tuple(SUFFIXES),
        (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"II*\0", b"MM\0*"),
    ),
    Kind("a PDF: save its pictures as JPEG or PNG, in a folder for each label", (".pdf",), (b"%PDF-",)),
    Kind(
        "a video: save pictures of it as JPEG or PNG, in a folder for each label",
        (".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".3gp"),
    ),
)


def advice_on(file: Path) -> str:
    """Return what a file is that is no table of labels, and what to do; "" where it may be one. Raises OSError."""
    with file.open("rb") as opened:
        content = opened.read(FIRST_BYTES)
    suffix = file.suffix.lower()
    if content[TAR_OFFSET:].startswith(TAR_MAGIC):
        suffix = ".tar"
    return next((kind.advice for kind in KINDS if suffix in kind.suffixes or content.startswith(kind.magics)), "")
