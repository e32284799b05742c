import io

import numpy as np
import pytest
from PIL import Image

from training.evaluation.photo_shift import PHOTO_SIDES, photos, to_photos


def opened(photo):
    return Image.open(io.BytesIO(photo()))


@pytest.fixture
def garment_images(image):
    names = ("ankle-boot", "bag", "pullover", "sandal", "sneaker", "trouser")
    return np.stack([np.asarray(Image.open(io.BytesIO(image(name)))) for name in names])[..., None]


@pytest.fixture
def scenes():
    """Return smooth images in colour whose four corners differ."""
    corners = np.random.default_rng(0).integers(0, 256, (8, 4, 4, 3), np.uint8)
    return np.stack(
        [np.asarray(Image.fromarray(small).resize((32, 32), Image.Resampling.BICUBIC)) for small in corners]
    )


def test_a_garment_lies_dark_on_a_white_sheet(garment_images):
    for photo in map(opened, photos(garment_images, "garment")):
        assert photo.format == "JPEG"
        assert PHOTO_SIDES[0] <= min(photo.size) <= max(photo.size) <= 1.6 * PHOTO_SIDES[1]
        corners = (0, 0), (photo.width - 1, photo.height - 1)
        assert max(min(photo.getpixel(corner)) for corner in corners) >= 250
        assert photo.convert("L").getextrema()[0] < 130


def test_the_camera_is_turned_all_four_ways(scenes):
    orientations = {opened(photo).getexif().get(0x0112) for photo in photos(np.concatenate([scenes] * 5), "photo")}

    assert orientations == {1, 3, 6, 8}


def test_a_photo_as_served_is_nearly_the_image_it_was_made_of(scenes, garment_images):
    for pixels, fit, most in ((scenes, "photo", 4), (garment_images, "garment", 30)):
        difference = np.abs(to_photos(pixels, fit).astype(int) - pixels).mean((1, 2, 3))
        assert difference.max() < most


def test_the_photos_are_the_same_every_time(scenes):
    first, again = ([photo() for photo in photos(scenes, "photo")] for _ in range(2))

    assert first == again


def test_photos_made_in_another_order_are_the_same(scenes, garment_images):
    for pixels, fit in ((scenes, "photo"), (garment_images, "garment")):
        backwards = [photo() for photo in reversed(list(photos(pixels, fit)))]

        assert backwards[::-1] == [photo() for photo in photos(pixels, fit)]
