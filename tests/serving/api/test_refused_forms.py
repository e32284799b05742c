"""A browser without JavaScript gets a page that says what to do, where its form is refused."""

import hashlib
import html
import re
from io import BytesIO

import pytest

from serving.app import create_app
from serving.settings import Settings

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
KEY = "key-of-a-monitor"


@pytest.fixture
def serve(models, tmp_path):
    """Return a starter of clients of a service with these settings: KEYS is a file with a key, NONE an empty folder."""
    (tmp_path / "keys").write_text(f"monitor {hashlib.sha256(KEY.encode()).hexdigest()} metrics\n")
    (tmp_path / "none").mkdir()
    paths = {"KEYS": str(tmp_path / "keys"), "NONE": str(tmp_path / "none")}

    def start(settings):
        environment = {"THIMBLE_MODELS": str(models)}
        environment |= {f"THIMBLE_{name.upper()}": paths.get(value, value) for name, value in settings.items()}
        return create_app(Settings.from_environment(environment)).test_client()

    return start


def form(*contents):
    """Return what a browser sends of the page's form with these files."""
    files = [(BytesIO(content), f"{place}.png") for place, content in enumerate(contents)]
    return {"data": {"image": files, "model": "", "seen": "true"}, "content_type": "multipart/form-data"}


def read(page):
    """Return the text of a page, as a person reads it."""
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", page)))


SCRIPT, ASK = "Turn on JavaScript: the page then asks for the key", "Ask whoever runs this service for a key"
KEYS, WRONG, OTHER = {"keys_file": "KEYS"}, {"X-API-Key": "no"}, {"Authorization": f"Bearer {KEY}"}


@pytest.mark.parametrize(("status", "settings", "headers", "files", "advice"), [
    (401, KEYS, {}, 1, SCRIPT),
    (401, KEYS, WRONG, 1, SCRIPT),
    (403, KEYS, OTHER, 1, ASK),
    (413, {"max_body": "100"}, {}, 1, "send a smaller image"),
    (413, {"max_images": "1"}, {}, 2, "send them in several requests"),
    (415, {}, {"Content-Encoding": "br"}, 1, "or the body uncompressed"),
    (422, {"max_pixels": "10"}, {}, 1, "Make it smaller before sending it"),
    (429, {"rate_limit": "1/hour"}, {}, 2, "send fewer"),
    (503, {"models": "NONE"}, {}, 1, "the service's log and GET /models say why"),
])  # fmt: skip
def test_a_refused_form_gets_a_page_that_says_what_to_do_and_a_program_the_problem(
    serve, image, status, settings, headers, files, advice
):
    client = serve(settings)

    program = client.post("/classify", headers=headers, **form(*[image("bag")] * files))
    page = client.post("/classify", headers=headers | BROWSER, **form(*[image("bag")] * files))

    assert (program.status_code, program.content_type) == (status, "application/problem+json")
    assert (page.status_code, page.content_type) == (status, "text/html; charset=utf-8")
    assert f"{program.json['title']}. {program.json['detail']}" in read(page.text)
    assert advice in read(page.text)
    for name in ("WWW-Authenticate", "Retry-After"):
        assert page.headers.get(name) == program.headers.get(name)
