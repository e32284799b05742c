"""Images as the body and in JSON, and their refusals; multipart bodies are in test_form_data.py."""

import base64
import io
import json
from urllib.parse import quote_from_bytes

import pytest
from bodies import coded, labels
from PIL import Image

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    "kind", ["image/png", "image/jpeg", "image/anything", "application/octet-stream", None, "", FORM, "IMAGE/PNG"]
)
def test_an_image_may_be_the_body_whatever_its_declared_image_type(client, boot, kind):
    response = client.post("/classify", data=boot, content_type=kind)

    assert response.status_code == 200
    assert labels(response) == ["Ankle boot"]


@pytest.mark.parametrize("body", [b"a=1&b=2", b"image=hello"])
def test_a_url_encoded_form_is_refused_as_an_unsupported_type(client, body):
    response = client.post("/classify", data=body, content_type=FORM)

    assert response.status_code == 415
    assert response.json["code"] == "unsupported-type"
    assert FORM in response.json["detail"]


@pytest.mark.parametrize("kind", ["text/plain", "video/mp4", "application/xml", "multipart/mixed", "nonsense"])
def test_an_unsupported_type_is_refused_with_the_supported_ones(client, boot, kind):
    response = client.post("/classify", data=boot, content_type=kind)

    assert response.status_code == 415
    assert "send image/*, application/octet-stream, multipart/form-data or application/json" in response.json["detail"]


@pytest.mark.parametrize("kind", ["image/png", JSON, FORM, None])
def test_a_request_without_a_body_is_refused_with_the_way_to_send_one(client, kind):
    response = client.post("/classify", data=b"", content_type=kind)

    assert response.status_code == 400
    assert "no body" in response.json["detail"]
    assert "curl --data-binary" in response.json["detail"]


@pytest.mark.parametrize(
    "write",
    [
        pytest.param(coded, id="base64"),
        pytest.param(lambda boot: f"data:image/png;base64,{coded(boot)}", id="data URL"),
        pytest.param(lambda boot: f"DATA:image/png;name=a.png;BASE64,{coded(boot)}", id="data URL with parameters"),
        pytest.param(lambda boot: f"data:;base64,{coded(boot)}", id="data URL without a type"),
        pytest.param(lambda boot: f"data:image/png,{quote_from_bytes(boot)}", id="percent-encoded data URL"),
        pytest.param(lambda boot: base64.encodebytes(boot).decode(), id="base64 in lines"),
        pytest.param(lambda boot: "\r\n\t " + " ".join(coded(boot)), id="base64 in spaces"),
    ],
)
def test_an_image_in_json_may_be_base64_or_a_data_url(client, boot, write):
    response = client.post("/classify", json={"image": write(boot)})

    assert response.status_code == 200
    assert labels(response) == ["Ankle boot"]


def test_several_images_in_json_are_answered_in_order(client, image):
    images = [coded(image(name)) for name in ("trouser", "bag", "ankle-boot")]

    response = client.post("/classify", json={"images": images})

    assert labels(response) == ["Trouser", "Bag", "Ankle boot"]


def test_json_with_a_character_set_is_json(client, boot):
    body = b'{"image": "' + base64.b64encode(boot) + b'"}'

    response = client.post("/classify", data=body, content_type="application/json; charset=utf-8")

    assert response.status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        b"{", b"[]", b"null", b"7", b'"text"', b"not JSON", b"\xff\xfe", b"{}", b'{"image": null}', b'{"images": null}',
        b'{"images": []}', b'{"image": 7}', b'{"image": ["a"]}', b'{"image": {"b64": "a"}}', b'{"images": "a"}',
        b'{"images": [7]}', b'{"images": [null]}', b'{"images": {"a": "b"}}', b'{"image": "a", "images": ["a"]}',
        b'{"picture": "a"}', b'{"image": "a", "top_k": 3}', b'{"image": ' + b"[" * 100_000, b"[" * 100_000,
    ],
    ids=lambda body: body[:24].decode("latin-1"),
)  # fmt: skip
def test_json_of_another_shape_is_refused_with_the_shape(client, body):
    response = client.post("/classify", data=body, content_type=JSON)

    assert response.status_code == 400
    assert response.json["code"] == "bad-request"
    assert '"image' in response.json["detail"]


@pytest.mark.parametrize("text", ["?", "a", "aGk", "aGk=aGk=", "data:;base64,!!!!", "a-_b", "h\u00e9llo", "\u2603"])
def test_an_image_that_is_not_base64_is_a_bad_request(client, text):
    response = client.post("/classify", json={"image": text})

    assert response.status_code == 400
    assert "not valid base64" in response.json["detail"]


@pytest.mark.parametrize("text", ["", "   ", "data:,", "data:;base64,"])
def test_text_without_bytes_is_not_an_image(client, text):
    response = client.post("/classify", json={"image": text})

    assert response.status_code == 400
    assert "empty" in response.json["detail"]


def test_bad_base64_among_good_is_refused_in_its_place(client, boot):
    response = client.post("/classify", json={"images": [coded(boot), "?", coded(boot)]})

    assert response.status_code == 200
    assert [next(iter(item)) for item in response.json["predictions"]] == ["model", "error", "model"]
    assert response.json["predictions"][1]["error"]["status"] == 400


@pytest.mark.parametrize("count", [3, 4])
def test_more_images_than_the_limit_are_refused_with_the_limit(strict, image, count):
    response = strict.post("/classify", json={"images": [coded(image("sandal"))] * count})

    assert response.status_code == (200 if count == 3 else 413)
    if count == 4:
        assert response.json["code"] == "too-large"
        assert response.json["detail"] == "The request has more than 3 images; send them in several requests."


def test_an_image_over_the_pixel_limit_is_refused_with_the_limit(strict):
    file = io.BytesIO()
    Image.new("L", (100, 51)).save(file, "PNG")

    response = strict.post("/classify", data=file.getvalue(), content_type="image/png")

    assert response.status_code == 422
    assert response.json["code"] == "too-many-pixels"
    assert "100 x 51 pixels; the limit is 5,000 in all" in response.json["detail"]


def test_a_long_data_url_must_be_base64(client):
    response = client.post("/classify", json={"image": "data:," + "%41" * 100_000})

    assert response.status_code == 413
    assert "Send it as base64" in response.json["detail"]


@pytest.mark.parametrize("body", [b'{"image":"\xff"}', b'{"\xff":"x"}', b'{"images":["\xff"]}'])
def test_json_that_is_not_utf_8_is_a_bad_request(client, body):
    response = client.post("/classify", data=body, content_type="application/json")

    assert (response.status_code, response.json["code"]) == (400, "bad-request")


def test_json_may_begin_with_a_byte_order_mark(client, boot):
    body = b"\xef\xbb\xbf" + json.dumps({"image": coded(boot)}).encode()

    assert client.post("/classify", data=body, content_type="application/json").status_code == 200


def test_a_url_is_not_fetched(client):
    response = client.post("/classify", json={"image": "http://127.0.0.1/cat.png"})

    assert response.status_code == 400
    assert "not fetched from URLs" in response.json["detail"]


def test_a_compressed_body_is_an_unsupported_type(client, boot):
    response = client.post("/classify", data=boot, content_type="image/png", headers={"Content-Encoding": "gzip"})

    assert (response.status_code, response.json["code"]) == (415, "unsupported-type")


@pytest.mark.parametrize(("coding", "status"), [("identity", 200), ("Identity", 200), ("gzip", 415)])
def test_the_content_coding_may_be_identity(client, boot, coding, status):
    response = client.post("/classify", data=boot, headers={"Content-Encoding": coding})

    assert response.status_code == status
