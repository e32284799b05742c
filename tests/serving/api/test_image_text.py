"""Images as text: what is meant is read, and what is not base64 is refused with what it is."""

import base64
import tracemalloc

import pytest
from bodies import MULTIPART, coded, labels, multipart

from serving.api.image_text import decode_text
from serving.errors import BadRequest


@pytest.mark.parametrize(
    "head",
    [
        'data:image/png;name="boot, left.png";base64,',
        'DATA:image/png;name="a,b,c"; BASE64 ,',
        "data:image/png;base64;charset=utf-8,",
        "data:image/png;name=boot.png;base64;charset=utf-8,",
    ],
)
def test_a_data_url_may_have_commas_in_quotes_and_parameters_behind_base64(client, boot, head):
    assert labels(client.post("/classify", json={"image": head + coded(boot)})) == ["Ankle boot"]


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (lambda text: str(text.encode()), '"\'" in "b\'iVBORw0KGgo'),
        (lambda text: f'"{text}"', "'\"' in '\"iVBORw0KGgo"),
        (lambda text: f"image/png;base64,{text}", "';' in 'image/png;base64,iVBORw0'"),
        (lambda text: f"{text[:40]}\\n{text[40:]}", "'\\\\' in "),
        (lambda _: "my-photo_1.jpg", "'.' in 'my-photo_1.jpg'"),
    ],
    ids=["Python's bytes", "twice in quotes", "half a data URL", "an escaped line break", "a path"],
)
def test_base64_among_other_characters_is_refused_with_the_first_of_them(client, boot, write, reason):
    response = client.post("/classify", json={"image": write(coded(boot))})

    assert (response.status_code, response.json["code"]) == (400, "bad-request")
    assert reason in response.json["detail"]


@pytest.mark.parametrize(
    "address",
    ["HTTPS://example.org/a.png", "file:///tmp/a.png", "blob:http://localhost/1234", "s3://photos/a.png", "C:\\a.png"],
)
def test_addresses_of_every_kind_are_not_fetched(client, address):
    response = client.post("/classify", json={"image": address})

    assert response.status_code == 400
    assert "not fetched from URLs" in response.json["detail"]


@pytest.mark.parametrize("write", [
    coded,
    lambda boot: base64.encodebytes(boot).decode(),
    lambda boot: f"data:image/png;base64,{coded(boot)}",
    lambda boot: base64.urlsafe_b64encode(b"\xff\xd8\xff\xe0" + boot).decode(),
    lambda boot: str(coded(boot).encode()),
], ids=["base64", "lines", "data URL", "url-safe", "Python's bytes"])  # fmt: skip
@pytest.mark.parametrize("send", [
    lambda client, text: client.post("/classify", data=text, content_type="image/png"),
    lambda client, text: client.post("/classify", data=text, content_type="application/octet-stream"),
    lambda client, text: client.post("/classify", json={"image": coded(text)}),
    lambda client, text: client.post(
        "/classify", data=multipart(('name="a"; filename="a.png"', text)), content_type=MULTIPART
    ),
], ids=["image", "bytes", "JSON", "form"])  # fmt: skip
def test_the_base64_of_an_image_in_the_place_of_an_image_is_refused_as_that(client, boot, write, send):
    response = send(client, write(boot).encode())

    assert (response.status_code, response.json["code"]) == (422, "unreadable-image")
    assert "bytes are an image's base64, not the image." in response.json["detail"]


@pytest.mark.parametrize("text", [b"A text of many words, and no image.", b"data:,", b"0" * 99, b"BM" * 50])
def test_other_text_is_not_said_to_be_base64(client, text):
    response = client.post("/classify", data=text, content_type="image/png")

    assert response.status_code == 422
    assert "base64" not in response.json["detail"]


def test_the_blanks_of_an_encoded_data_url_take_no_more_memory_than_its_text():
    text = "data%3A%3B" + "%20" * 1_000_000

    tracemalloc.start()
    refusal = decode_text(text)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert isinstance(refusal, BadRequest)
    assert peak < 4 * len(text)
