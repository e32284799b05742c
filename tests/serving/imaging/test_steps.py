"""docs/trust.md and the API's description name every step of preprocessing that an answer may list under fit."""

import json
import re
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from serving.imaging.decoding import PixelBudget, decode, read_header
from serving.imaging.preprocessing import preprocess
from serving.imaging.profiles import NCLX_XY, SRGB_CURVE, make_profile

ROOT = Path(__file__).parents[3]
TRUST = (ROOT / "docs/trust.md").read_text()
API = json.loads((ROOT / "serving/openapi/classify.json").read_text())


def file(image, kind="PNG", **options):
    target = BytesIO()
    image.save(target, kind, **options)
    return target.getvalue()


def garment(cloth, ground):
    """Return a photo of a plain square of cloth in the middle of a plain ground."""
    image = Image.new("RGB", (200, 160), ground)
    image.paste(cloth, (60, 40, 130, 120))
    return image


def uploads():
    """Yield an upload for each step, and more."""
    colour = Image.new("RGB", (60, 40), (200, 40, 90))
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation
    noise = np.random.default_rng(0).integers(0, 256, (90, 90, 3), dtype=np.uint8)
    yield file(colour, "GIF", save_all=True, append_images=[Image.new("RGB", (60, 40), "blue")])
    yield file(colour, "JPEG", exif=exif)
    yield file(Image.fromarray(np.full((40, 40), 30_000, np.uint16)))
    yield file(colour, icc_profile=make_profile(NCLX_XY[12], SRGB_CURVE))
    yield file(colour, icc_profile=b"not a profile")
    yield file(colour.convert("CMYK"), "TIFF")
    yield file(Image.new("RGBA", (40, 40), (200, 40, 90, 100)))
    yield file(garment((250, 240, 230), (60, 90, 60)))
    yield file(Image.fromarray(noise))
    yield file(Image.new("L", (50, 40), 128))


def test_the_documentation_explains_each_step_that_an_answer_may_list():
    given = {
        step
        for upload in uploads()
        for fit, side, channels in (("garment", 28, 1), ("photo", 32, 3), ("photo", 32, 1))
        for step in preprocess(decode(read_header(upload, PixelBudget(100_000))), fit, side, side, channels).steps
    }
    table = re.search(r"^\| step in `fit` \|.*\n\|[-|]+\n((?:\|.*\n)+)", TRUST, re.MULTILINE)
    assert table, "no table of the steps"

    description = API["components"]["schemas"]["Prediction"]["properties"]["fit"]["description"]
    assert set(re.findall(r"^\| `([\w-]+)` \|", table[1], re.MULTILINE)) == given
    assert set(re.findall(r"`([\w-]+)`", description)) == given
