"""The garment is told from its ground, on grounds as people have them; drawn here, so that the truth is known."""

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from serving.imaging.garment import SIDE, find_garment
from serving.imaging.resizing import resize_garment

WIDTH, HEIGHT = 300, 400
SHIRT = [
    (100, 80), (60, 110), (30, 200), (70, 215), (90, 170), (90, 330),
    (210, 330), (210, 170), (230, 215), (270, 200), (240, 110), (200, 80),
]  # fmt: skip


def outline(moved=(0, 0)):
    """Return the mask of a shirt, bool [height, width]."""
    image = Image.new("L", (WIDTH, HEIGHT))
    ImageDraw.Draw(image).polygon([(x + moved[0], y + moved[1]) for x, y in SHIRT], fill=255)
    return np.asarray(image) > 0


def photo(ground, colour, mask=None, noise=4.0, quality=85):
    """Return a JPEG of a shirt of one colour, with folds and a soft edge, on a ground [height, width, 3]."""
    random = np.random.default_rng(0)
    mask = outline() if mask is None else mask
    soft = np.asarray(Image.fromarray(mask).convert("L").filter(ImageFilter.GaussianBlur(1.5)), float)[..., None] / 255
    folds = 12 * np.sin(np.arange(WIDTH) / 9)[None, :, None]
    pixels = ground * (1 - soft) + (np.array(colour, float) + folds) * soft + random.normal(0, noise, ground.shape)
    file = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


def plain(*colour):
    return np.ones((HEIGHT, WIDTH, 3)) * colour


def lit(ground, fall):
    """Return a ground whose light falls off towards one corner, by so many levels."""
    return ground - fall * np.linspace(0, 1, HEIGHT)[:, None, None] - fall / 2 * np.linspace(0, 1, WIDTH)[None, :, None]


def boards(ground):
    """Return a floor of boards: dark seams, and boards of slightly different brightness."""
    shades = np.random.default_rng(1).normal(0, 6, 10).repeat(30)[None, :, None]
    seams = 25 * (np.arange(WIDTH) % 30 < 2)[None, :, None]
    return ground + shades - seams


GROUNDS = {
    "white sheet": plain(250, 250, 250),
    "grey sheet, light falling off": lit(plain(235, 235, 232), 70),
    "red sheet": lit(plain(150, 30, 40), 20),
    "dark floor": lit(plain(60, 45, 35), 20),
    "wooden floor": boards(lit(plain(170, 120, 80), 30)),
    "blue wall": lit(plain(90, 120, 170), 40),
}
COLOURS = {"black": (25, 25, 30), "navy": (30, 40, 90), "pink": (235, 130, 160), "green": (60, 140, 70)}


def overlap(found, mask):
    """Return intersection over union of a found mask, of any size, and the true one."""
    found = np.asarray(found.resize((WIDTH, HEIGHT))) > 127
    return (found & mask).sum() / (found | mask).sum()


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("ground", GROUNDS)
def test_a_garment_is_found_on_every_ground(ground, colour):
    found = find_garment(photo(GROUNDS[ground], COLOURS[colour]))

    assert overlap(found, outline()) > 0.9


@pytest.mark.parametrize("ground", ["white sheet", "wooden floor"])
@pytest.mark.parametrize("moved", [(0, 75), (0, -85), (35, 0), (-40, 0)])
def test_a_garment_may_touch_a_border(ground, moved):
    mask = outline(moved)

    found = find_garment(photo(GROUNDS[ground], COLOURS["navy"], mask))

    assert overlap(found, mask) > 0.85


def test_the_gap_between_trouser_legs_is_ground():
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[60:120, 90:210] = mask[120:350, 90:135] = mask[120:350, 165:210] = mask[345:350, 90:210] = True

    found = np.asarray(find_garment(photo(GROUNDS["grey sheet, light falling off"], (40, 60, 110), mask)))

    assert found[round(250 * SIDE / HEIGHT), round(150 * SIDE / HEIGHT)] == 0


def test_a_print_on_a_garment_belongs_to_it():
    image = photo(GROUNDS["wooden floor"], COLOURS["navy"])
    image.paste((240, 240, 60), (130, 150, 170, 200))

    found = np.asarray(find_garment(image))

    assert found[round(175 * SIDE / HEIGHT), round(150 * SIDE / HEIGHT)] == 255


@pytest.mark.parametrize(
    "pixels",
    [
        pytest.param(np.full((200, 200, 3), 128), id="one colour"),
        pytest.param(np.random.default_rng(0).integers(0, 256, (200, 200, 3)), id="noise"),
        pytest.param(np.full((5, 300, 3), 100), id="a strip"),
    ],
)
def test_where_there_is_no_garment_none_is_found(pixels):
    image = Image.fromarray(pixels.astype(np.uint8))

    resized = resize_garment(image, 28, 28)

    assert find_garment(image) is None
    assert "ground-kept" in resized.steps
    assert resized.image.size == (28, 28)


@pytest.mark.parametrize("ground", ["dark floor", "wooden floor", "grey sheet, light falling off"])
def test_the_ground_becomes_black_and_the_garment_is_inverted_whatever_the_ground(ground):
    dark, light = (resize_garment(photo(GROUNDS[ground], COLOURS[name]), 28, 28) for name in ("navy", "pink"))

    for resized in (dark, light):
        assert {"isolated", "inverted"} <= set(resized.steps)
        assert np.asarray(resized.image)[0, 0] == np.asarray(resized.image)[-1, -1] == 0
    assert np.asarray(dark.image)[14, 14] > np.asarray(light.image)[14, 14] > 0


def test_a_grey_image_on_black_is_taken_as_it_is():
    image = Image.fromarray(np.where(outline(), 180, 0).astype(np.uint8))

    resized = resize_garment(image, 28, 28)

    assert resized.steps == ("trimmed", "resized", "sharpened", "centred")
    assert resized.image.getextrema()[1] > 170


def test_the_view_of_an_isolated_garment_is_in_pixels_of_the_upload():
    image = photo(GROUNDS["wooden floor"], COLOURS["green"]).resize((3 * WIDTH, 3 * HEIGHT))

    left, top, right, bottom = resize_garment(image, 28, 28).view

    assert abs(top - 3 * 80) < 25
    assert abs(bottom - 3 * 330) < 25
    assert left < 3 * 30
    assert right > 3 * 270
