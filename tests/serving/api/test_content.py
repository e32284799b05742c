"""Compressed bodies, within the same limits as others."""

import gzip
import io
import json
import re
import tracemalloc
import zlib

import pytest
from bodies import MULTIPART, coded, labels, multipart

from serving.api.content import MAX_MEMBERS, read_content
from serving.api.intake import Intake
from serving.api.memory_budget import MemoryBudget
from serving.app import create_app
from serving.errors import BadRequest, Overloaded, Refusal, TooLarge
from serving.inference.admission import Admission
from serving.server.deadline import Deadline
from serving.settings import Settings

PACK = {"gzip": gzip.compress, "deflate": zlib.compress, "GZip": gzip.compress, "x-gzip": gzip.compress}
RAW = -zlib.MAX_WBITS  # deflate without zlib's head
MB = 1024 * 1024


def intake(max_body, memory):
    return Intake(max_body, 1, Deadline(1.0), MemoryBudget(memory), Admission(1, 1.0))


def environ(body, coding="gzip"):
    return {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body)), "HTTP_CONTENT_ENCODING": coding}


@pytest.mark.parametrize("path", ["/classify", "/explain"])
@pytest.mark.parametrize("coding", PACK)
@pytest.mark.parametrize(
    ("kind", "write"),
    [
        ("image/png", bytes),
        ("application/json", lambda boot: json.dumps({"image": coded(boot)}).encode()),
        (MULTIPART, lambda boot: multipart(('name="a"; filename="a"', boot))),
    ],
)
def test_a_body_may_be_compressed(client, boot, path, coding, kind, write):
    body = write(boot)
    packed, plain = (
        client.post(path, data=data, content_type=kind, headers=headers)
        for data, headers in ((PACK[coding](body), {"Content-Encoding": coding}), (body, {}))
    )

    assert packed.status_code == 200
    assert packed.json == plain.json


@pytest.mark.parametrize("level", [0, 1, 6, 9])
def test_deflate_may_lack_its_head(client, boot, level):
    packed = zlib.compress(boot, level, RAW)

    assert labels(client.post("/classify", data=packed, headers={"Content-Encoding": "deflate"})) == ["Ankle boot"]
    response = client.post("/classify", data=packed[:-9], headers={"Content-Encoding": "deflate"})
    assert (response.status_code, response.json["code"]) == (400, "bad-request")


@pytest.mark.parametrize("coding", ["identity", "Identity", ""])
def test_the_content_coding_may_be_identity(client, boot, coding):
    response = client.post("/classify", data=boot, headers={"Content-Encoding": coding})

    assert labels(response) == ["Ankle boot"]


def test_a_gzip_body_without_its_header_is_refused_as_that(client, boot):
    packed = gzip.compress(boot)

    as_body = client.post("/classify", data=packed, content_type="image/png")
    in_a_form = client.post("/classify", data=multipart(('name="a"; filename="a.png"', packed)), content_type=MULTIPART)

    for response in (as_body, in_a_form):
        assert (response.status_code, response.json["code"]) == (422, "unreadable-image")
        assert f"The {len(packed)} bytes are compressed with gzip." in response.json["detail"]


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, gzip", "x" * 1_000])
def test_another_coding_is_refused_with_the_supported_ones(client, boot, coding):
    response = client.post("/classify", data=boot, headers={"Content-Encoding": coding})

    assert (response.status_code, response.json["code"]) == (415, "unsupported-type")
    assert response.json["detail"].endswith("is unsupported; send gzip, deflate, or the body uncompressed.")


def test_a_gzip_body_may_have_several_members(client, boot):
    for packed in (b"".join(gzip.compress(boot[start : start + 50]) for start in range(0, len(boot), 50)),
                   gzip.compress(boot) + gzip.compress(b"")):  # fmt: skip
        assert labels(client.post("/classify", data=packed, headers={"Content-Encoding": "gzip"})) == ["Ankle boot"]


@pytest.mark.parametrize("sizes", [(3 * MB, MB, 1), (MB - 1, MB + 1), (MB, 0, MB)])
def test_all_members_together_keep_the_limit(sizes):
    body = b"".join(gzip.compress(bytes(size), 0) for size in sizes)

    with read_content(environ(body), intake(9 * MB, 64 * MB)) as content:
        assert content == bytes(sum(sizes))
    with pytest.raises(TooLarge), read_content(environ(body), intake(sum(sizes) - 1, 64 * MB)):
        pass


@pytest.mark.parametrize(
    "more",
    [b"abc", gzip.compress(b"x")[:-1], gzip.compress(b"") * MAX_MEMBERS],
    ids=["other bytes", "half a member", "too many"],
)
def test_what_follows_the_first_member_must_be_whole_members_and_not_too_many(more):
    with pytest.raises(BadRequest), read_content(environ(gzip.compress(b"hello") + more), intake(MB, 9 * MB)):
        pass


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"hello", "is not deflate, as its Content-Encoding says"),
        (b"", "ends early"),
        (zlib.compress(b"hello")[:-1], "ends early"),
        (zlib.compress(b"hello") + b"x", "has bytes after its end"),
    ],
)
def test_a_damaged_compressed_body_is_refused(client, body, words):
    response = client.post("/classify", data=body, headers={"Content-Encoding": "deflate"})

    assert (response.status_code, response.json["code"]) == (400, "bad-request")
    assert words in response.json["detail"]


@pytest.mark.parametrize("path", ["/classify", "/explain"])
@pytest.mark.parametrize(("size", "status"), [(3_000, 422), (3_001, 413), (5 * MB, 413)])
def test_the_limit_counts_inflated_bytes(strict, path, size, status):
    response = strict.post(path, data=zlib.compress(bytes(size), 9)[:3_000], headers={"Content-Encoding": "deflate"})

    assert response.status_code == status
    if status == 413:
        assert "more than 3,000 bytes" in response.json["detail"]


@pytest.mark.parametrize("size", [0, 1, MB - 1, MB, MB + 1, 3 * MB, 3 * MB + 7])
def test_a_body_is_inflated_whole(size):
    content = bytes(range(256)) * (size // 256) + bytes(size % 256)

    with read_content(environ(gzip.compress(content, 1)), intake(4 * MB, 64 * MB)) as inflated:
        assert inflated == content


def test_a_bomb_is_refused_without_inflating_it():
    bomb = zlib.compress(bytes(256 * MB), 9)
    tracemalloc.start()

    with pytest.raises(TooLarge), read_content(environ(bomb, "deflate"), intake(4 * MB, 64 * MB)):
        pass

    assert tracemalloc.get_traced_memory()[1] < 12 * MB
    tracemalloc.stop()


def test_inflated_bytes_keep_their_memory_until_the_answer():
    limits = intake(4 * MB, 3 * MB)
    body = gzip.compress(bytes(2 * MB))

    with read_content(environ(body), limits):
        with pytest.raises(Overloaded), read_content(environ(body), limits):
            pass
        with pytest.raises(Overloaded), limits.memory.reserve(MB):
            pass
    with limits.memory.reserve(3 * MB):
        pass


@pytest.mark.parametrize("body", [b"hello", gzip.compress(bytes(5 * MB)), gzip.compress(bytes(3 * MB))[:-9]])
def test_a_refused_body_leaves_no_memory_reserved(body):
    limits = intake(4 * MB, 64 * MB)

    with pytest.raises(Refusal), read_content(environ(body), limits):
        pass

    with limits.memory.reserve(1), limits.memory.reserve(64 * MB - 1):
        pass


def test_a_compressed_image_over_the_pixel_limit_is_refused_as_others(models, image):
    client = create_app(Settings(models=str(models), max_pixels=700)).test_client()

    response = client.post("/classify", data=gzip.compress(image("bag")), headers={"Content-Encoding": "gzip"})

    assert (response.status_code, response.json["code"]) == (422, "too-many-pixels")


def test_damage_is_a_bad_request():
    with pytest.raises(BadRequest), read_content(environ(gzip.compress(bytes(2 * MB))[:900]), intake(4 * MB, 9 * MB)):
        pass


@pytest.mark.parametrize(("coding", "place"), [("gzip", -8), ("deflate", -1)])
def test_damage_is_not_taken_for_another_coding(client, boot, coding, place):
    body = bytearray(gzip.compress(boot) if coding == "gzip" else zlib.compress(boot))
    body[place] ^= 1  # of the checksum

    response = client.post("/classify", data=bytes(body), headers={"Content-Encoding": coding})

    assert response.status_code == 400
    assert re.fullmatch(
        rf"The {coding} data of the body is damaged: .*incorrect data check; send it again\.", response.json["detail"]
    )
