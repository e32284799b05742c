"""Images as the body and in JSON, and their refusals; multipart bodies are in test_form_data.py."""

import base64
import io
import json
from time import process_time
from urllib.parse import quote, quote_from_bytes

import pytest
from bodies import coded, labels
from pictures import saved
from PIL import Image

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize("kind", [
    "image/png", "image/jpeg", "image/anything", "application/octet-stream", None, "", FORM, "IMAGE/PNG",
    "binary/octet-stream", "Application/Octet-Stream; charset=binary",  # the defaults of storages
])  # fmt: skip
def test_an_image_may_be_the_body_whatever_its_declared_image_type(client, boot, kind):
    response = client.post("/classify", data=boot, content_type=kind)

    assert response.status_code == 200
    assert labels(response) == ["Ankle boot"]


@pytest.mark.parametrize("kind", ["text/plain", "video/mp4", "application/xml", "multipart/mixed", "nonsense"])
def test_an_unsupported_type_is_refused_with_the_supported_ones(client, boot, kind):
    response = client.post("/classify", data=boot, content_type=kind)

    assert response.status_code == 415
    assert "send image/*, application/octet-stream, multipart/form-data or application/json" in response.json["detail"]


LONG = "x" * 50_000


@pytest.mark.parametrize(
    ("path", "kind", "body"),
    [
        ("/classify", LONG, b"x"),
        ("/classify", JSON, f'{{"{LONG}": 1}}'),
        (f"/classify?model={LONG}", "image/png", b"x"),
        (f"/v2/models/{LONG}/infer", JSON, b"{}"),
    ],
    ids=["type", "member", "model", "v2 model"],
)
def test_a_refusal_is_short_however_long_the_value_is_that_is_wrong(client, path, kind, body):
    response = client.post(path, data=body, content_type=kind)

    assert 400 <= response.status_code < 500
    assert len(response.data) < 1_000


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
        pytest.param(lambda bag: f"data:image/png;base64,{coded(bag)}", id="data URL"),
        pytest.param(lambda bag: f"DATA:image/png;name=a.png;BASE64,{coded(bag)}", id="data URL with parameters"),
        pytest.param(lambda bag: f"data:;base64,{coded(bag)}", id="data URL without a type"),
        pytest.param(lambda bag: f"data:image/png,{quote_from_bytes(bag)}", id="percent-encoded data URL"),
        pytest.param(lambda bag: base64.encodebytes(bag).decode(), id="base64 in lines"),
        pytest.param(lambda bag: f" \r\n\t {base64.encodebytes(bag).decode()} \n ", id="base64 between blanks"),
        pytest.param(lambda bag: base64.encodebytes(bag).decode().replace("\n", "  \r\n  "), id="blanks at line ends"),
        pytest.param(lambda bag: coded(bag).rstrip("="), id="base64 without its padding"),
        pytest.param(lambda bag: base64.urlsafe_b64encode(bag).decode(), id="url-safe base64"),
        pytest.param(lambda bag: base64.urlsafe_b64encode(bag).decode().rstrip("="), id="url-safe, without padding"),
        pytest.param(lambda bag: quote(coded(bag), safe=""), id="percent-encoded base64"),
        pytest.param(
            lambda bag: coded(bag).replace("+", "%2b").replace("/", "%2f"), id="percent-encoded in lower case"
        ),
        pytest.param(lambda bag: f"data:image/png;base64,{quote(coded(bag), safe='')}", id="percent-encoded payload"),
        pytest.param(lambda bag: quote(f"data:image/png;base64,{coded(bag)}", safe=""), id="percent-encoded URL"),
        pytest.param(lambda bag: f" data:image/png; base64,{coded(bag)}\n", id="data URL between blanks"),
    ],
)
def test_an_image_in_json_may_be_base64_or_a_data_url(client, image, write):
    bag = image("bag")
    assert {*"+/="} <= {*coded(bag)}  # otherwise some of these ways are the same

    response = client.post("/classify", json={"image": write(bag)})

    assert response.status_code == 200
    assert labels(response) == ["Bag"]


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
        b'{"picture": "a"}', b'{"image": "a", "topk": 3}', b'{"image": "a", "top_k": [3]}',
        b'{"image": "a", "model": 7}', b'{"image": "a", "image": "b"}', b'{"image": "a", "im\\u0061ge": "b"}',
        b'{' + b'"image": "a", ' * 99 + b'"seen": 1}',
        b'{"image": ' + b"[" * 100_000, b"[" * 100_000,
    ],
    ids=lambda body: body[:24].decode("latin-1"),
)  # fmt: skip
def test_json_of_another_shape_is_refused_with_the_shape(client, body):
    response = client.post("/classify", data=body, content_type=JSON)

    assert response.status_code == 400
    assert response.json["code"] == "bad-request"
    assert '"image' in response.json["detail"]


@pytest.mark.parametrize("text", ["?", "a", "aGk=aGk=", "aGk==", "data:;base64,!!!!", "%41%2", "h\u00e9llo", "\u2603"])
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


def test_an_image_over_the_pixel_limit_gets_no_advice_on_other_faults(strict):
    upload = saved(Image.new("RGB", (101, 100), (7, 7, 7)), "WEBP", quality=60)
    assert b"\n" not in upload  # as if curl -d had removed the line breaks

    response = strict.post("/classify", data=upload, content_type="image/webp")

    assert response.json["detail"].endswith("Make it smaller before sending it.")


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


@pytest.mark.parametrize("write", [str, "data:image/png;base64,{}".format, lambda text: text.replace("\n", " \n")])
@pytest.mark.parametrize("code", [" ", "%20"])
def test_base64_that_lost_its_plus_signs_is_refused_as_that(client, image, write, code):
    text = base64.encodebytes(image("bag") + b"\xfb\xef\xbe" * 3).decode()
    assert "+" in text

    response = client.post("/classify", json={"image": write(text).replace("+", code)})

    assert (response.status_code, response.json["code"]) == (400, "bad-request")
    assert "a blank inside a line, where a + was" in response.json["detail"]
    assert labels(client.post("/classify", json={"image": write(text).replace("+", "%2B")})) == ["Bag"]


@pytest.mark.parametrize(("text", "found"), [("my photo.jpg", "'.'"), ('<img src="a.png">', "'<'")])
def test_text_that_is_no_base64_at_all_is_not_said_to_have_lost_plus_signs(client, text, found):
    response = client.post("/classify", json={"image": text})

    assert f"The image is not valid base64: {found} in" in response.json["detail"]


def test_hostile_base64_is_refused_soon(client):
    start = process_time()

    for text in (" " * 8_000_000 + "\na", "a \n" * 3_000_000, "%2B" * 3_000_000, " \n" * 4_000_000, "a\t " * 3_000_000):
        assert client.post("/classify", json={"image": text}).status_code in (400, 422)

    assert process_time() - start < 10  # seconds of the processor; it takes less than one


def stripped(content):
    """Return a file as curl -d @file sends it."""
    return content.translate(None, b"\r\n\0")


def without_line_breaks(content):
    return content.translate(None, b"\r\n")


def photo(kind, size=(40, 30)):
    file = io.BytesIO()
    Image.effect_noise(size, 90).save(file, kind)
    return file.getvalue()


@pytest.mark.parametrize("path", ["/classify", "/explain"])
@pytest.mark.parametrize("damage", [stripped, without_line_breaks])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF"])
@pytest.mark.parametrize("declared", [FORM, "image/jpeg", "text/plain"])
def test_a_file_that_curl_d_has_damaged_is_told_of_data_binary(client, path, damage, kind, declared):
    original = photo(kind)
    if damage is without_line_breaks and damage(original) == original:
        pytest.skip("nothing to remove")

    refused = client.post(path, data=damage(original), content_type=declared)

    assert refused.status_code in (415, 422)
    assert "--data-binary @photo.jpg -H 'Content-Type: image/jpeg'" in refused.json["detail"]
    for advised in (FORM, "image/jpeg"):  # with the option alone, and to the letter
        assert client.post(path, data=original, content_type=advised).status_code == 200


@pytest.mark.parametrize("text", [b"P2\n2 2\n255\n0 9\n9 0\n", b"P1 2 2 0 1 1 0", b"P3 1 1 255 1 2 3"])
def test_an_image_of_letters_and_digits_is_read_whatever_curl_calls_it(client, text):
    assert client.post("/classify", data=text, content_type=FORM).status_code == 200
    assert "--data-binary" in client.post("/classify", data=text.translate(None, b"\n ")).json["detail"]


def test_an_image_without_a_line_break_in_it_is_read(client):
    file = io.BytesIO()
    Image.new("RGB", (28, 28), "white").save(file, "BMP")

    for kind in (FORM, "image/bmp"):
        assert client.post("/classify", data=without_line_breaks(file.getvalue()), content_type=kind).status_code == 200


@pytest.mark.parametrize("path", ["/classify", "/explain"])
@pytest.mark.parametrize("kind", [FORM, None, "application/octet-stream", "image/png", "text/plain", "text/json"])
def test_json_with_another_type_is_told_of_its_own(client, boot, path, kind):
    body = b'\n {"image": "%s", "model": "fashion-mlp"}' % base64.b64encode(boot)

    refused = client.post(path, data=body, content_type=kind)

    assert (refused.status_code, refused.json["code"]) == (415, "unsupported-type")
    assert "-H 'Content-Type: application/json'" in refused.json["detail"]
    assert client.post(path, data=body, content_type="application/json").status_code == 200


def test_a_form_with_another_type_is_told_to_let_the_client_write_it(client, boot):
    body = b'--b\r\nContent-Disposition: form-data; name="a"; filename="a"\r\n\r\n' + boot + b"\r\n--b--\r\n"

    for kind, status in (("image/png", 415), (FORM, 415), ("text/plain", 415), ("multipart/form-data", 400)):
        refused = client.post("/classify", data=body, content_type=kind)

        assert refused.status_code == status
        assert "without -H" in refused.json["detail"]


@pytest.mark.parametrize(
    "body", [b"a=1&b=2", b"image=%2F9j", b"{image: 7}", b"%7B%22image%22%3A%22a%22%7D", b"BM=1", b"P1=2"]
)
def test_a_url_encoded_form_is_refused_and_told_what_to_send(client, body):
    refused = client.post("/classify", data=body, content_type=FORM)

    assert (refused.status_code, refused.json["code"]) == (415, "unsupported-type")
    detail = refused.json["detail"]
    assert FORM in detail
    assert "curl --data-binary @photo.jpg -H 'Content-Type: image/jpeg'" in detail
    assert "curl -F image=@photo.jpg" in detail
    assert "-H 'Content-Type: application/json'" in detail


@pytest.mark.parametrize("kind", ["text/plain", "video/mp4"])
@pytest.mark.parametrize("whole", [b"GIF89a\1\0\1\0", b"\0\0\0\x18ftypmp42" + bytes(9)])
def test_a_whole_file_of_an_unsupported_type_is_told_of_its_type_alone(client, kind, whole):
    refused = client.post("/classify", data=whole, content_type=kind)

    assert refused.status_code == 415
    assert f"Content-Type '{kind}' is unsupported" in refused.json["detail"]
    assert "curl -d" not in refused.json["detail"]


@pytest.mark.parametrize("line_break", [b"\n", b"\r\n"])
@pytest.mark.parametrize(
    ("path", "before", "behind"),
    [
        ("/classify", b'{"image": "', b'"}'),
        ("/explain", b'{"image": "', b'"}'),
        (
            "/v2/models/fashion-mlp/infer",
            b'{"inputs": [{"name": "image", "shape": [1], "datatype": "BYTES", "data": ["',
            b'"]}]}',
        ),
    ],
)
def test_base64_in_several_lines_of_json_is_told_of_one(client, boot, path, before, behind, line_break):
    lines = base64.encodebytes(boot).replace(b"\n", line_break)

    refused = client.post(path, data=before + lines + behind, content_type=JSON)

    assert refused.status_code == 400
    assert "write the base64 in one line (base64 -w0)." in refused.text


def test_other_faults_of_json_are_not_told_of_lines(client):
    body = json.dumps({"image": "a", "images": 5, "top_k": [1, 2]}, indent=2)

    assert "base64 -w0" not in client.post("/classify", data=body, content_type=JSON).text
