"""A service with small limits, and an image to send."""

import pytest

from serving.app import create_app
from serving.settings import Settings


@pytest.fixture(scope="session")
def strict(models):
    """Return a client of a service with small limits."""
    settings = Settings(models=str(models), max_body=3_000, max_images=3, max_pixels=5_000)
    return create_app(settings).test_client()


@pytest.fixture(scope="session")
def boot(image):
    return image("ankle-boot")
