"""Multipart bodies: everything that RFC 2046 allows, malformed ones, and hostile ones."""

import base64
import io
from time import process_time

import gevent
import pytest
from bodies import MULTIPART, labels, multipart
from pictures import noise, saved

from serving.api.form_data import MAX_LENIENT_BYTES, read_parts
from serving.errors import TooLarge

MAX_BODY = 32 * 1024 * 1024  # the default limit
MAX_SECONDS = 10  # of the processor: far more than any refusal takes: the slowest takes a quarter of a second
FILE_HEAD = b'Content-Disposition: form-data; name="a"; filename="a.png"'


def post(client, body, kind=MULTIPART):
    return client.post("/classify", data=body, content_type=kind)


def test_a_body_may_hold_one_file(client, boot):
    response = client.post("/classify", data={"image": (io.BytesIO(boot), "boot.png")})

    assert labels(response) == ["Ankle boot"]


def test_a_boundary_may_be_longer_than_the_standard_allows(client, boot):
    boundary = "b" * 80
    body = multipart(('name="a"; filename="a.png"', boot)).replace(b"--b", b"--" + boundary.encode())

    assert labels(post(client, body, f"multipart/form-data; boundary={boundary}")) == ["Ankle boot"]


def test_files_are_answered_in_order_whatever_their_names(client, image):
    parts = [
        ('name="b"; filename="1.png"', image("bag")),
        ('name="a"; filename="2.png"', image("trouser")),
        ('name="top_k"', b"3"),
        ('name="b"; filename="1.png"', image("ankle-boot")),
        ('name="a"; filename="x.txt"', image("sneaker")),
        ('name=""; filename="z"', image("trouser")),
    ]

    response = post(client, multipart(*parts))

    assert labels(response) == ["Bag", "Trouser", "Ankle boot", "Sneaker", "Trouser"]
    assert [item["file"] for item in response.json["predictions"]] == ["1.png", "2.png", "1.png", "x.txt", "z"]


@pytest.mark.parametrize(
    "lookalike",
    [b"\r\n--b not quite\r\n--\r\n", b"\r\n--bx\r\n", b"\r\n--b- -\r\n", b" --b\r\n", b"\r--b\r"],
)
def test_a_file_that_contains_a_lookalike_of_the_boundary_is_read_whole(client, boot, lookalike):
    body = multipart(('name="a"; filename="a.png"', lookalike), ('name="a"; filename="a.png"', boot + lookalike))

    refused, answered = post(client, body).json["predictions"]

    assert f"The {len(lookalike)} bytes are not a complete image" in refused["error"]["detail"]
    assert answered["label"] == "Ankle boot"


@pytest.mark.parametrize(
    ("disposition", "file"),
    [
        ("form-data; name=\"a\"; filename*=UTF-8''caf%C3%A9.png", "café.png"),
        ("form-data; name=\"a\"; filename*=utf-8''caf%E9.png", "café.png"),
        ('form-data; name="a"; filename="cafe.png"; filename*=UTF-8\'\'caf%C3%A9.png', "café.png"),
        ('form-data; name="a"; filename*=UTF-8\'\'caf%C3%A9.png; filename="cafe.png"', "café.png"),
        ("form-data; name=\"a\"; filename*=iso-8859-1'en'caf%E9.png", "café.png"),
        ("form-data; name=\"a\"; filename*0*=UTF-8''caf%C3; filename*1*=%A9; filename*2=.png", "café.png"),
        ('form-data; name="a"; filename*0="café "; filename*1="2.png"', "café 2.png"),
        ('form-data; name="a"; filename*0*=iso-8859-1\'\'caf%E9; filename*1=".png"; filename=b.png', "café.png"),
        ('form-data; name="a"; filename*=nothing; filename="a.png"', "a.png"),
        ("form-data; name=a; filename=a.png", "a.png"),
        ('form-data;filename="a.png";name="a"', "a.png"),
        ('FORM-DATA; NAME="a"; FILENAME="a.png"', "a.png"),
        ('form-data; name="a"; filename="café.png"', "café.png"),
        ('form-data; name="a"; filename="☃ 1;2.png"', "☃ 1;2.png"),
        ('form-data; name="a"; filename=café.png', "café.png"),
        ('form-data; name="a"; filename="a\\"b.png"', 'a"b.png'),
        ('form-data; name="a"; filename="C:\\photos\\a.png"', "a.png"),
        ('form-data; name="a"; filename="a; filename=b.png"', "a; filename=b.png"),
        ('form-data; name="a"; filename="x; filename*=utf-8\'\'evil.png"', "x; filename*=utf-8''evil.png"),
        ('form-data; name="top_k; filename=x"; filename="a.png"', "a.png"),
        ('form-data; name="a"; filename="a; b.png', "a; b.png"),
        ('form-data; filename="a.png"', "a.png"),
        ('attachment; filename="a.png"', "a.png"),
    ],
)
@pytest.mark.parametrize("charset", ["utf-8", "latin-1"])
@pytest.mark.parametrize("end", ["\r\n", "\n"])  # the second is left to the lenient parser
def test_a_file_name_may_be_written_in_every_form(client, boot, disposition, file, charset, end):
    if "☃" in disposition and charset == "latin-1":
        pytest.skip("Latin-1 has no snowman")
    body = f"--b{end}Content-Disposition: {disposition}{end}{end}".encode(charset) + boot + b"\r\n--b--\r\n"

    (prediction,) = post(client, body).json["predictions"]

    assert (prediction["label"], prediction["file"]) == ("Ankle boot", file)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"a\tb\x1b[31m\x7f.png", "a\ufffdb\ufffd[31m\ufffd.png"),
        (b"gnp.\xe2\x80\xaea", "gnp.\ufffda"),
        (b"\xe9\x85\x9b", "\u915b"),
        (b"\xe9\x85", "é\ufffd"),  # no UTF-8, and a control character of Latin-1
        (b"x" * 2_000, "x" * 255),
    ],
)
def test_a_file_name_is_short_and_printable(client, boot, name, shown):
    body = multipart(('name="a"; filename="NAME"', boot)).replace(b"NAME", name)

    assert post(client, body).json["predictions"][0]["file"] == shown


def test_only_a_part_with_a_file_name_has_it_in_its_answer(client, boot):
    answers = [
        client.post("/classify", data=boot, content_type="image/png"),
        post(client, multipart(('name="a"', boot)).replace(b'"a"', b'"a"\r\nContent-Type: image/png')),
    ]

    assert [labels(answer) for answer in answers] == [["Ankle boot"]] * 2
    assert all("file" not in answer.json["predictions"][0] for answer in answers)


def test_a_bad_file_has_its_name_in_its_place(client, boot):
    body = multipart(('name="a"; filename="1.png"', boot), ('name="a"; filename="2.png"', b"hello"))

    good, bad = post(client, body).json["predictions"]

    assert (good["file"], bad["file"]) == ("1.png", "2.png")
    assert bad["error"]["code"] == "unreadable-image"


def test_an_explained_file_has_its_name(client, boot):
    response = client.post("/explain", data=multipart(('name="a"; filename="1.png"', boot)), content_type=MULTIPART)

    assert response.json["file"] == "1.png"


@pytest.mark.parametrize(
    "head",
    [
        'name="a"\r\nContent-Type: image/jpeg',
        'name="model"\r\nContent-Type: IMAGE/PNG; q=1',
        'name="a"\r\nContent-Type: application/octet-stream',
        'name="a"; filename=""\r\nContent-Type: image/png',
        'name="a"; filename=""',
    ],
)
def test_a_part_with_the_type_of_an_image_needs_no_file_name(client, boot, head):
    assert labels(post(client, multipart((head, boot)))) == ["Ankle boot"]


@pytest.mark.parametrize(
    ("encoding", "write"),
    [
        ("base64", base64.encodebytes),
        ("BASE64 ", base64.b64encode),
        ("base64", lambda image: base64.urlsafe_b64encode(image).rstrip(b"=")),
        ("binary", bytes),
        ("8bit", bytes),
        ("base64", bytes),  # which it is not
    ],
)
@pytest.mark.parametrize("end", ["\r\n", "\n"])  # the second is left to the lenient parser
def test_a_part_may_have_a_transfer_encoding(client, boot, encoding, write, end):
    head = f'--b{end}Content-Disposition: form-data; name="a"; filename="a.png"{end}'
    body = f"{head}Content-Transfer-Encoding: {encoding}{end}{end}".encode() + write(boot) + b"\r\n--b--\r\n"

    assert labels(post(client, body)) == ["Ankle boot"]


def test_a_part_whose_base64_has_lost_a_plus_is_refused(client):
    coded = base64.b64encode(saved(noise(27, 20), "BMP") + bytes(60)).replace(b"+", b" ")
    assert coded.count(b" ") == 48  # without them it is the base64 of a BMP whose pixels have moved
    body = multipart(('name="a"; filename="a.bmp"\r\nContent-Transfer-Encoding: base64', coded))

    response = post(client, body)

    assert response.status_code == 422
    assert "are an image's base64" in response.json["detail"]


def test_a_file_that_was_not_chosen_is_skipped(client, boot):
    body = multipart(('name="a"; filename=""', b""), ('name="b"; filename="b.png"', boot), ('name="model"', b""))

    assert labels(post(client, body)) == ["Ankle boot"]


def test_a_file_name_within_the_quotes_of_a_fields_name_makes_no_file(client, boot):
    response = post(client, multipart(('name="a"; filename="a.png"', boot), ('name="top_k; filename=x"', b"3")))

    assert response.status_code == 400
    assert "There is no parameter 'top_k; filename=x'" in response.json["detail"]


def test_a_field_that_is_not_a_parameter_is_refused_with_those_that_exist(client, boot):
    response = post(client, multipart(('name="a"; filename="a.png"', boot), ('name="topk"', b"3")))

    assert response.status_code == 400
    assert "There is no parameter 'topk'. Parameters: model, top_k, coverage, seen." in response.json["detail"]


@pytest.mark.parametrize(
    "write",
    [
        pytest.param(lambda body: b"a preamble\r\n" + body + b"an epilogue", id="preamble and epilogue"),
        pytest.param(lambda body: b"\r\n" + body + b"--b\r\nnot a part", id="a part behind the last boundary"),
        pytest.param(lambda body: body.replace(b"--b\r\n", b"--b \t\r\n"), id="white space behind the boundary"),
        pytest.param(lambda body: body.replace(b"--b--\r\n", b"--b-- \t\r\n"), id="white space behind the last"),
        pytest.param(
            lambda body: body.replace(b"Content-Disposition", b"X: y\r\ncontent-disposition"), id="more headers"
        ),
        pytest.param(lambda body: body.replace(b"Content-D", b"X: filename*=y\r\n" * 100 + b"Content-D"), id="many"),
        pytest.param(lambda body: body.replace(b"Content-D", b"Content-Length: 7\r\nContent-D"), id="wrong length"),
        pytest.param(lambda body: body.removesuffix(b"\r\n"), id="no line break at the end"),
    ],
)
def test_a_body_may_be_written_in_other_ways(client, boot, write):
    body = write(multipart(('name="a"; filename="a.png"', boot)))

    assert labels(post(client, body)) == ["Ankle boot"]


def test_lines_may_end_in_a_line_feed_alone(client):
    image = b"P5 1 1 255 a"  # a file without a line break in it
    body = b'--b\nContent-Disposition: form-data; name="a"; filename="a.pgm"\n\n' + image + b"\n--b--\n"

    assert post(client, body).status_code == 200


def test_a_head_with_line_feeds_alone_ends_at_its_own_blank_line(client, boot):
    body = b'--b\nContent-Disposition: form-data; name="a"; filename="a.png"\n\n' + boot + b"\r\n\r\n\n--b--\n"

    assert labels(post(client, body)) == ["Ankle boot"]


@pytest.mark.parametrize(
    "parts",
    [
        [('name="image"', b"no file name")],
        [('name="image"; filename=""', b"")],
        [('name="filename*=image"', b"no file name")],
        [],
    ],
    ids=["a field", "no file chosen", "a field called like one", "nothing"],
)
def test_a_body_without_a_file_is_refused_with_the_way_to_send_one(client, parts):
    response = post(client, multipart(*parts))

    assert response.status_code == 400
    assert "no file part" in response.json["detail"]
    assert "-F image=@photo.jpg" in response.json["detail"]


def test_an_empty_file_is_not_an_image(client):
    response = post(client, multipart(('name="image"; filename="a.png"', b"")))

    assert response.status_code == 400
    assert "empty" in response.json["detail"]


@pytest.mark.parametrize(
    ("kind", "body", "reason"),
    [
        pytest.param("multipart/form-data", b"--b\r\n\r\n--b--\r\n", "boundary '' of the", id="no boundary named"),
        pytest.param("multipart/form-data; boundary=", b"--\r\n", "boundary '' of the", id="empty boundary"),
        pytest.param(f"multipart/form-data; boundary={'b' * 201}", b"", "use 1 to 200 letters", id="long boundary"),
        pytest.param("multipart/form-data; boundary=other", b"--b\r\n\r\nx\r\n--b--", "malformed", id="another"),
        pytest.param(MULTIPART, b"not multipart at all", "malformed", id="no boundary in the body"),
        pytest.param(MULTIPART, b"--b\r\nX: y\r\n\r\nx\r\n--b--\r\n", "malformed", id="no disposition"),
        pytest.param(MULTIPART, b"--b\r\n\r\nx\r\n--b--\r\n", "malformed", id="no head"),
        pytest.param(MULTIPART, b"--b\r\n" + FILE_HEAD + b"\r\n\r\ncut off", "malformed", id="no end"),
        pytest.param(MULTIPART, b"--b\r\nContent-Disposition", "malformed", id="cut off in a header"),
        pytest.param("multipart/form-data; boundary=\u00fc\u20ac", b"--b\r\n", "is not valid", id="beyond Latin-1"),
    ],
)
def test_a_malformed_body_is_refused_with_the_reason(client, kind, body, reason):
    response = post(client, body or b"--", kind)

    assert response.status_code == 400
    assert response.json["code"] == "bad-request"
    assert "multipart body" in response.json["detail"]
    assert reason in response.json["detail"]


def test_more_files_than_the_limit_are_refused(strict, image):
    answered, refused = (
        post(strict, multipart(*[('name="a"; filename="a"', image("sandal"))] * count)) for count in (3, 4)
    )

    assert (answered.status_code, refused.status_code) == (200, 413)
    assert "more than 3 images" in refused.json["detail"]


def test_as_many_files_as_allowed_may_come_with_all_parameters(strict, image):
    fields = [
        ('name="model"', b"fashion-mlp"),
        ('name="top_k"', b"2"),
        ('name="coverage"', b"0.9"),
        ('name="seen"', b"0"),
    ]

    assert post(strict, multipart(*[('name="a"; filename="a"', image("sandal"))] * 3, *fields)).status_code == 200


@pytest.mark.parametrize("before", [b"", b"\r\n"], ids=["as most clients write it", "for the parser"])
def test_a_form_has_as_many_parts_as_are_allowed_and_no_more(before):
    forms = [before + multipart(*[('name="a"', b"x")] * count) for count in (3, 4)]

    assert len(read_parts(forms[0], "b", 3)) == 3
    with pytest.raises(TooLarge, match="too many parts"):
        read_parts(forms[1], "b", 3)


@pytest.mark.parametrize(("headers", "status"), [(127, 200), (128, 413)])
def test_a_part_has_a_limit_of_headers(client, boot, headers, status):
    body = multipart(('name="a"; filename="a.png"' + "\r\nX: y" * headers, boot))

    assert post(client, body).status_code == status


def test_only_small_bodies_are_read_by_the_lenient_parser(client, boot):
    body = multipart(('name="a"; filename="a.png"', boot)).replace(b"--b\r\n", b"--b \n", 1)
    large = body.replace(b"--b--", b"--b\r\n" + FILE_HEAD + b"\r\n\r\n" + bytes(MAX_LENIENT_BYTES) + b"\r\n--b--")

    assert labels(post(client, body)) == ["Ankle boot"]
    assert post(client, large).status_code == 400


def test_other_requests_go_on_while_a_form_with_long_heads_is_read():
    turns = []
    other = gevent.spawn(lambda: [turns.append(gevent.sleep(0)) for _ in range(1_000)])
    body = b"\r\n" + multipart(*[('name="a"; filename="a"' + ";a=1" * 4_000, b"x")] * 100)

    read_parts(body, "b", 100)

    assert turns
    other.kill()


def test_more_parts_than_any_form_has_are_refused(client):
    response = post(client, multipart(*[('name="field"', b"x")] * 400))

    assert response.status_code == 413
    assert "too many parts" in response.json["detail"]


def filled(head, piece):
    """Return a body of the largest size: a head, and a piece again and again."""
    return (head + piece * (MAX_BODY // len(piece)))[:MAX_BODY]


@pytest.mark.parametrize(
    ("boundary", "head", "piece", "status", "reason"),
    [
        pytest.param("-", b"", b"-", 400, "no file part", id="dashes"),
        pytest.param("-" * 69 + "a", b"", b"-", 400, "malformed", id="nearly the boundary"),
        pytest.param("-" * 50_000, b"", b"-", 400, "is not valid", id="a boundary of 50,000 bytes"),
        pytest.param("b", b"", b"\n--b", 400, "malformed", id="boundaries"),
        pytest.param("b", b"", b"\n--b\n", 400, "malformed", id="boundary lines"),
        pytest.param("b", b"--b\n" + FILE_HEAD + b"\n\n", b"\n--b.", 400, "malformed", id="lookalikes"),
        pytest.param("b", b"--b", b" ", 400, "malformed", id="padding without end"),
        pytest.param("b", b"", b"\n", 400, "malformed", id="preamble without end"),
        pytest.param(
            "b", b"--b\r\nX: ", b"a", 413, "header of a part is longer than 16,384 bytes", id="header without end"
        ),
        pytest.param("b", b"--b\n", b"a:\n", 400, "malformed", id="head without end"),
        pytest.param("b", b"", b"--b\n" + b"a:\n" * 10_000 + b"\n\n", 400, "malformed", id="long heads"),
        pytest.param("b", b"--b\r\n", b"\r\n--b\r\n", 400, "malformed", id="millions of parts without a head"),
        pytest.param(
            "b", b"", b"--b\r\nContent-Disposition: form-data\r\n\r\n\r\n", 413, "too many parts", id="a million parts"
        ),
    ],
)
def test_a_hostile_body_is_refused_soon(client, boundary, head, piece, status, reason):
    body = filled(head, piece)
    start = process_time()

    response = post(client, body, f"multipart/form-data; boundary={boundary}")

    assert process_time() - start < MAX_SECONDS
    assert response.status_code == status
    assert reason in response.json["detail"]
