"""Hooks of schemathesis, which SCHEMATHESIS_HOOKS names: the test images, for its requests with images."""

from pathlib import Path

import schemathesis
from hypothesis import strategies as st

IMAGES = Path(__file__).parent.parent / "images"

uploads = st.sampled_from([path.read_bytes() for path in sorted(IMAGES.glob("*.png"))]) | st.binary()
for kind in ("image/*", "application/octet-stream"):
    schemathesis.openapi.media_type(kind, uploads)
