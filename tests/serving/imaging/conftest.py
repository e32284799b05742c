"""Pillow as the service sets it up, for all tests of images."""

import pytest
from PIL import Image

from serving.imaging.decoding import configure_pillow


@pytest.fixture(autouse=True)
def _pillow_as_in_the_service(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)
    configure_pillow()
