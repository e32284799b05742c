"""Who gets a page from POST /classify, and who JSON."""

import base64
import io

import pytest

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
JAVA = "text/html, image/gif, image/jpeg, */*; q=0.2"  # that of its HttpURLConnection
PROGRAMS = ["*/*", "application/json", "application/json, text/html;q=0.5", None, JAVA, "text/html, application/*"]


@pytest.mark.parametrize("accept", PROGRAMS)
@pytest.mark.parametrize("content", ["bag", None])
@pytest.mark.parametrize("body", ["image", "form", "JSON"])
def test_programs_get_json_whatever_else_they_accept(client, image, accept, content, body):
    upload = image(content) if content else b"hello"
    sent = {
        "image": {"data": upload, "content_type": "image/png"},
        "form": {"data": {"image": (io.BytesIO(upload), "a.png")}},
        "JSON": {"json": {"image": base64.b64encode(upload).decode()}},
    }

    response = client.post("/classify", headers={"Accept": accept} if accept else {}, **sent[body])

    assert response.mimetype == ("application/json" if content else "application/problem+json")


@pytest.mark.parametrize(("mode", "page"), [("navigate", True), ("cors", False), ("same-origin", False), (None, True)])
def test_a_form_gets_a_page_where_the_browser_navigates_to_it(client, image, mode, page):
    headers = BROWSER | ({"Sec-Fetch-Mode": mode} if mode else {})

    response = client.post("/classify", headers=headers, data={"image": (io.BytesIO(image("bag")), "a.png")})

    assert response.mimetype == ("text/html" if page else "application/json")


@pytest.mark.parametrize("kind", ["image/png", "application/octet-stream", "text/plain"])
def test_a_body_that_no_form_sends_gets_json_from_a_browser_too(client, image, kind):
    response = client.post("/classify", headers=BROWSER, data=image("bag"), content_type=kind)

    assert response.is_json
