"""Every form in which images may be sent, and every way in which that can go wrong."""

import base64
import io
import json
import socket
from urllib.parse import quote_from_bytes

import pytest
from PIL import Image

from serving.api.uploads import Limits, Memory, held
from serving.app import create_app
from serving.errors import Overloaded
from serving.server.deadline import Deadline
from serving.settings import Settings

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"


@pytest.fixture(scope="module")
def strict(models):
    """Return a client of a service with small limits."""
    settings = Settings(models=str(models), max_body=3_000, max_images=3, max_pixels=5_000)
    return create_app(settings).test_client()


@pytest.fixture(scope="module")
def boot(image):
    return image("ankle-boot")


def labels(response):
    return [prediction["label"] for prediction in response.json["predictions"]]


def coded(content):
    return base64.b64encode(content).decode()


def multipart(*parts, boundary="b"):
    """Return a multipart body; a part is its disposition's parameters and its content."""
    head = "--{}\r\nContent-Disposition: form-data; {}\r\n\r\n"
    pieces = [head.format(boundary, parameters).encode() + content + b"\r\n" for parameters, content in parts]
    return b"".join(pieces) + f"--{boundary}--\r\n".encode()


@pytest.mark.parametrize(
    "kind", ["image/png", "image/jpeg", "image/anything", "application/octet-stream", None, "", FORM, "IMAGE/PNG"]
)
def test_the_image_itself_may_be_the_body_whatever_image_type_it_claims(client, boot, kind):
    response = client.post("/classify", data=boot, content_type=kind)

    assert response.status_code == 200
    assert labels(response) == ["Ankle boot"]


@pytest.mark.parametrize("body", [b"a=1&b=2", b"image=hello"])
def test_a_real_form_is_refused_as_a_type_that_is_not_taken(client, body):
    response = client.post("/classify", data=body, content_type=FORM)

    assert response.status_code == 415
    assert response.json["code"] == "unsupported-type"
    assert FORM in response.json["detail"]


@pytest.mark.parametrize("kind", ["text/plain", "video/mp4", "application/xml", "multipart/mixed", "nonsense"])
def test_another_type_is_refused_with_those_that_are_taken(client, boot, kind):
    response = client.post("/classify", data=boot, content_type=kind)

    assert response.status_code == 415
    assert "send image/*, application/octet-stream, multipart/form-data or application/json" in response.json["detail"]


@pytest.mark.parametrize("kind", ["image/png", JSON, FORM, None])
def test_a_request_without_a_body_is_told_how_to_send_one(client, kind):
    response = client.post("/classify", data=b"", content_type=kind)

    assert response.status_code == 400
    assert "no body" in response.json["detail"]
    assert "curl --data-binary" in response.json["detail"]


def test_a_multipart_body_may_hold_one_file(client, boot):
    response = client.post("/classify", data={"image": (io.BytesIO(boot), "boot.png")})

    assert labels(response) == ["Ankle boot"]


def test_files_are_answered_in_their_order_whatever_their_names(client, image):
    parts = [
        ('name="b"; filename="1.png"', image("bag")),
        ('name="a"; filename="2.png"', image("trouser")),
        ('name="note"', b"a field is passed over"),
        ('name="b"; filename="1.png"', image("ankle-boot")),
        ('name="a"; filename="x.txt"', image("sneaker")),
        ('name=""; filename="z"', image("trouser")),
    ]

    response = client.post("/classify", data=multipart(*parts), content_type="multipart/form-data; boundary=b")

    assert labels(response) == ["Bag", "Trouser", "Ankle boot", "Sneaker", "Trouser"]


def test_a_file_that_holds_the_look_of_a_boundary_is_read_whole(client, boot):
    part = ('name="a"; filename="a.png"', boot + b"\r\n--b not quite\r\n--\r\n")

    response = client.post("/classify", data=multipart(part), content_type="multipart/form-data; boundary=b")

    assert labels(response) == ["Ankle boot"]


@pytest.mark.parametrize(
    "write",
    [
        pytest.param(lambda body: b"a preamble\r\n" + body + b"an epilogue", id="preamble and epilogue"),
        pytest.param(lambda body: body.replace(b"--b\r\n", b"--b \t\r\n"), id="white space behind the boundary"),
        pytest.param(
            lambda body: body.replace(b"Content-Disposition", b"X: y\r\ncontent-disposition"), id="more headers"
        ),
        pytest.param(lambda body: body.removesuffix(b"\r\n"), id="no line break at the end"),
    ],
)
def test_a_multipart_body_may_be_written_in_other_ways(client, boot, write):
    body = write(multipart(('name="a"; filename="a.png"', boot)))

    response = client.post("/classify", data=body, content_type="multipart/form-data; boundary=b")

    assert labels(response) == ["Ankle boot"]


def test_lines_may_end_in_a_line_feed_alone(client):
    picture = b"P5 1 1 255 a"  # a file without a line break in it
    body = b'--b\nContent-Disposition: form-data; name="a"; filename="a.pgm"\n\n' + picture + b"\n--b--\n"

    response = client.post("/classify", data=body, content_type="multipart/form-data; boundary=b")

    assert response.status_code == 200


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ([('name="image"', b"no file name")], "no file part"),
        ([('name="image"; filename=""', b"")], "no file part"),
        ([], "no file part"),
    ],
    ids=["a field", "no file chosen", "nothing"],
)
def test_a_multipart_body_without_a_file_is_told_how_to_send_one(client, parts, reason):
    response = client.post("/classify", data=multipart(*parts), content_type="multipart/form-data; boundary=b")

    assert response.status_code == 400
    assert reason in response.json["detail"]
    assert "-F image=@photo.jpg" in response.json["detail"]


def test_an_empty_file_is_no_image(client):
    body = multipart(('name="image"; filename="a.png"', b""))

    response = client.post("/classify", data=body, content_type="multipart/form-data; boundary=b")

    assert response.status_code == 400
    assert "empty" in response.json["detail"]


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        pytest.param("multipart/form-data", b"--b\r\n\r\n--b--\r\n", id="no boundary named"),
        pytest.param("multipart/form-data; boundary=", b"--\r\n", id="empty boundary"),
        pytest.param("multipart/form-data; boundary=other", b"--b\r\n\r\nx\r\n--b--\r\n", id="another boundary"),
        pytest.param("multipart/form-data; boundary=b", b"not multipart at all", id="no boundary in the body"),
        pytest.param("multipart/form-data; boundary=b", b"--b\r\n\r\nno disposition\r\n--b--\r\n", id="no disposition"),
        pytest.param(
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="a"; filename="a"\r\n\r\ncut off',
            id="no end",
        ),
        pytest.param("multipart/form-data; boundary=b", b"--b\r\nContent-Disposition", id="cut off in a header"),
        pytest.param("multipart/form-data; boundary=\u00fc\u20ac", b"--b\r\n", id="boundary outside Latin-1"),
    ],
)
def test_a_malformed_multipart_body_is_a_bad_request(client, kind, body):
    response = client.post("/classify", data=body, content_type=kind)

    assert response.status_code == 400
    assert response.json["code"] == "bad-request"
    assert "multipart body" in response.json["detail"]


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
def test_json_of_another_shape_is_a_bad_request_that_shows_the_shape(client, body):
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
def test_text_of_no_bytes_is_no_image(client, text):
    response = client.post("/classify", json={"image": text})

    assert response.status_code == 400
    assert "empty" in response.json["detail"]


def test_bad_base64_among_good_stands_in_its_place(client, boot):
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


def test_more_files_than_the_limit_are_refused(strict, image):
    body = multipart(*[('name="a"; filename="a"', image("sandal"))] * 4)

    response = strict.post("/classify", data=body, content_type="multipart/form-data; boundary=b")

    assert response.status_code == 413


@pytest.mark.parametrize("kind", ["image/png", JSON, "multipart/form-data; boundary=b", "text/plain"])
def test_a_body_over_the_limit_is_refused_with_the_limit(strict, kind):
    response = strict.post("/classify", data=bytes(3_001), content_type=kind)

    assert response.status_code == 413
    assert response.json["code"] == "too-large"
    assert "larger than 3,000 bytes" in response.json["detail"]


def test_a_body_that_is_announced_too_large_is_refused_unread(strict):
    unread = io.BytesIO(b"never looked at")

    response = strict.post("/classify", input_stream=unread, environ_overrides={"CONTENT_LENGTH": "1000000000000"})

    assert response.status_code == 413
    assert unread.tell() == 0


@pytest.mark.parametrize(("size", "status"), [(3_001, 413), (10_000_000, 413), (3_000, 422)])
def test_a_body_of_unannounced_length_is_read_to_the_limit_and_no_further(strict, size, status):
    body = io.BytesIO(bytes(size))

    response = strict.post("/classify", input_stream=body, content_type="image/png")

    assert response.status_code == status
    assert body.tell() <= 3_001


def test_a_body_shorter_than_announced_has_broken_off(client, boot):
    announced = {"CONTENT_LENGTH": str(len(boot) + 1)}

    response = client.post("/classify", input_stream=io.BytesIO(boot), environ_overrides=announced)

    assert response.status_code == 400
    assert "broke off" in response.json["detail"]


def test_an_image_over_the_pixel_limit_is_refused_with_the_limit(strict):
    file = io.BytesIO()
    Image.new("L", (100, 51)).save(file, "PNG")

    response = strict.post("/classify", data=file.getvalue(), content_type="image/png")

    assert response.status_code == 422
    assert response.json["code"] == "too-many-pixels"
    assert "100 x 51 pixels; at most 5,000 in all" in response.json["detail"]


def test_a_body_that_takes_too_long_is_refused_as_slow(models):
    client = create_app(Settings(models=str(models), body_seconds=0.05)).test_client()
    server, sender = socket.socketpair()

    with server, sender, server.makefile("rb") as stream:
        sender.send(b"half of it")
        server_side = {"CONTENT_LENGTH": "20", "wsgi.input": stream, "gunicorn.socket": server}
        response = client.post("/classify", environ_overrides=server_side)

    assert response.status_code == 408
    assert response.json["code"] == "slow-body"
    assert response.json["detail"] == "The body did not arrive within 0.05 s."


def test_a_body_whose_reading_fails_has_broken_off(client):
    server, sender = socket.socketpair()
    server.settimeout(0.01)

    with server, sender, server.makefile("rb") as stream:
        response = client.post("/classify", environ_overrides={"CONTENT_LENGTH": "20", "wsgi.input": stream})

    assert response.status_code == 400
    assert "broke off" in response.json["detail"]


def test_more_parts_than_any_form_has_are_refused(client):
    body = multipart(*[('name="field"', b"x")] * 400)

    response = client.post("/classify", data=body, content_type="multipart/form-data; boundary=b")

    assert response.status_code == 413
    assert "too many parts" in response.json["detail"]


def test_a_long_data_url_must_be_base64(client):
    response = client.post("/classify", json={"image": "data:," + "%41" * 100_000})

    assert response.status_code == 413
    assert "send it as base64" in response.json["detail"]


@pytest.mark.parametrize("body", [b'{"image":"\xff"}', b'{"\xff":"x"}', b'{"images":["\xff"]}'])
def test_json_that_is_not_utf_8_is_a_bad_request(client, body):
    response = client.post("/classify", data=body, content_type="application/json")

    assert (response.status_code, response.json["code"]) == (400, "bad-request")


def test_json_may_begin_with_a_byte_order_mark(client, boot):
    body = b"\xef\xbb\xbf" + json.dumps({"image": coded(boot)}).encode()

    assert client.post("/classify", data=body, content_type="application/json").status_code == 200


def test_a_file_name_in_another_encoding_is_said_to_be_one(client, boot):
    body = multipart(('name="image"; filename="a.png"', boot)).replace(b"a.png", b"caf\xe9.png")

    response = client.post("/classify", data=body, content_type="multipart/form-data; boundary=b")

    assert response.status_code == 400
    assert "name the file in UTF-8 or ASCII" in response.json["detail"]


def test_an_address_is_not_fetched(client):
    response = client.post("/classify", json={"image": "http://127.0.0.1/cat.png"})

    assert response.status_code == 400
    assert "not fetched from addresses" in response.json["detail"]


def test_a_compressed_body_is_an_unsupported_type(client, boot):
    response = client.post("/classify", data=boot, content_type="image/png", headers={"Content-Encoding": "gzip"})

    assert (response.status_code, response.json["code"]) == (415, "unsupported-type")


def test_a_boundary_that_is_all_over_a_body_is_refused_soon(client):
    response = client.post("/classify", data=b"-" * 3_000_000, content_type="multipart/form-data; boundary=-")

    assert response.status_code == 400
    assert "take a longer one" in response.json["detail"]


def test_a_head_with_line_feeds_alone_ends_at_its_own_blank_line(client, boot):
    body = b'--b\nContent-Disposition: form-data; name="a"; filename="a.png"\n\n' + boot + b"\r\n\r\n\n--b--\n"

    response = client.post("/classify", data=body, content_type="multipart/form-data; boundary=b")

    assert labels(response) == ["Ankle boot"]


def test_bodies_that_arrive_have_a_budget_of_memory():
    memory = Memory(100)

    with memory.hold(60):
        with pytest.raises(Overloaded, match="Too many large bodies"), memory.hold(60):
            pass
        with memory.hold(40):
            pass
    with memory.hold(1_000):  # alone, whatever its size
        pass


@pytest.mark.parametrize(("announced", "room"), [("60", 40), (None, 20), ("500", 20)])
def test_a_body_takes_its_memory_until_it_is_answered(announced, room):
    limits = Limits(80, 1, Deadline(1.0), Memory(100))
    environ = {"wsgi.input": io.BytesIO(), "CONTENT_LENGTH": announced}

    with held(environ, limits):
        with limits.memory.hold(room):
            pass
        with pytest.raises(Overloaded), limits.memory.hold(room + 1):
            pass


@pytest.mark.parametrize(("coding", "status"), [("identity", 200), ("Identity", 200), ("gzip", 415)])
def test_content_may_be_said_to_be_as_it_is(client, boot, coding, status):
    response = client.post("/classify", data=boot, headers={"Content-Encoding": coding})

    assert response.status_code == status
