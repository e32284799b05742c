"""A connection: requests that arrive whole or in pieces, well-formed or malformed."""

import gc
import socket
import subprocess
import sys
import time
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress

import pytest

from serving.server.connection import MAX_PIPELINED, Connection, MalformedRequestError, UnknownMethodError
from serving.server.request import MAX_HEAD_BYTES, BrokenBodyError, MalformedBodyError

# Prints how often another greenlet has its turn while three pieces are discarded that are here already.
LINGER = """
from gevent import monkey, sleep, spawn
monkey.patch_all()
import itertools
import socket
from serving.server.connection import RECV_BYTES, Connection
client, server = socket.socketpair()
client.sendall(bytes(2 * RECV_BYTES + 1))
client.shutdown(socket.SHUT_WR)
turns = itertools.count()
spawn(lambda: [sleep(0) for _ in turns])
Connection(server).linger()
print(next(turns))
"""


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Yield the client's and the server's end of a connection."""
    client, server = socket.socketpair()
    with closing(client), closing(server):
        client.settimeout(10)
        server.settimeout(10)
        yield client, server


@pytest.fixture
def client(ends):
    return ends[0]


@pytest.fixture
def connection(ends):
    return Connection(ends[1])


def head(*lines, first="POST /classify HTTP/1.1"):
    return "\r\n".join([first, "Host: thimble", *lines, "", ""]).encode("latin-1")


def test_a_request_is_read_with_its_head_and_body(client, connection):
    first = "POST /classify?model=a%3A1 HTTP/1.1"
    client.sendall(head("Content-Length: 3", "Content-Type: image/png", "X-Some: thing", first=first) + b"abc")

    request = connection.next(10)

    environ = request.environ({"wsgi.url_scheme": "http"})
    assert request.read() == b"abc"
    assert environ["wsgi.input"] is request
    expected = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/classify",
        "QUERY_STRING": "model=a%3A1",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "CONTENT_TYPE": "image/png",
        "CONTENT_LENGTH": "3",
        "HTTP_X_SOME": "thing",
        "HTTP_HOST": "thimble",
        "wsgi.url_scheme": "http",
    }
    assert expected.items() <= environ.items()


def test_a_body_is_read_in_pieces_of_the_requested_size(client, connection):
    client.sendall(head("Content-Length: 10") + b"0123456789")

    request = connection.next(10)

    assert [request.read(4), request.read(4), request.read(4), request.read(4)] == [b"0123", b"4567", b"89", b""]


def test_a_head_may_arrive_byte_by_byte(client, connection):
    message = head("Content-Length: 5", first="POST /classify?top_k=1 HTTP/1.1") + b"hello"

    for byte in message[:-5]:
        with suppress(TimeoutError):
            connection.next(0.001)
        client.sendall(bytes([byte]))
    request = connection.next(10)
    client.sendall(message[-5:])

    assert request.environ({})["QUERY_STRING"] == "top_k=1"
    assert request.read() == b"hello"


def test_chunks_make_one_body_and_their_trailer_is_not_a_header(client, connection):
    chunks = b"3\r\nabc\r\n2\r\nde\r\n0\r\nX-Late: yes\r\n\r\n"
    client.sendall(head("Transfer-Encoding: chunked") + chunks)

    request = connection.next(10)

    assert request.read() == b"abcde"
    assert "HTTP_X_LATE" not in request.environ({})


def test_pipelined_requests_are_read_one_by_one(client, connection):
    client.sendall(head("Content-Length: 1") + b"a" + head("Content-Length: 1") + b"b")

    assert [connection.next(10).read(), connection.next(10).read()] == [b"a", b"b"]


def test_a_client_that_expects_100_continue_gets_it(client, connection):
    client.sendall(head("Content-Length: 3", "Expect: 100-continue"))
    request = connection.next(10)
    client.sendall(b"abc")

    body = request.read()

    assert client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert body == b"abc"


def test_100_continue_is_not_sent_for_a_body_that_nobody_reads(client, connection, ends):
    client.sendall(head("Content-Length: 3", "Expect: 100-continue"))

    connection.next(10)

    ends[1].close()
    assert client.recv(100) == b""


@pytest.mark.parametrize(
    ("line", "keep_alive"),
    [
        (("POST / HTTP/1.1", ()), True),
        (("POST / HTTP/1.1", ("Connection: close",)), False),
        (("POST / HTTP/1.0", ()), False),
        (("POST / HTTP/1.0", ("Connection: keep-alive", "Content-Length: 0")), True),
        (("GET / HTTP/1.1", ("Connection: Upgrade", "Upgrade: h2c")), True),
    ],
    ids=["1.1", "1.1-close", "1.0", "1.0-keep-alive", "upgrade"],
)
def test_a_request_says_whether_the_connection_stays_open(client, connection, line, keep_alive):
    client.sendall(head(*line[1], first=line[0]))

    request = connection.next(10)

    assert (request.keep_alive, request.body_complete) == (keep_alive, True)


@pytest.mark.parametrize("framing", ["Content-Length: 5", "Transfer-Encoding: chunked"])
@pytest.mark.parametrize("pause", [False, True], ids=["at-once", "after-a-pause"])
def test_a_request_that_offers_an_upgrade_keeps_its_body(client, connection, framing, pause):
    offer = head("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk", framing)
    body = b"hello" if "5" in framing else b"5\r\nhello\r\n0\r\nX-Trailer: 1\r\n\r\n"
    client.sendall(offer if pause else offer + body + head("X: 1", first="GET /next HTTP/1.1"))

    request = connection.next(10)
    if pause:
        client.sendall(body + head("X: 1", first="GET /next HTTP/1.1"))
    read, following = request.read(), connection.next(10)

    assert (request.method, request.target, read, request.keep_alive) == ("POST", b"/classify", b"hello", True)
    assert len(request.headers) == 5
    assert (following.method, following.target, following.headers[-1]) == ("GET", b"/next", (b"X", b"1"))


def test_100_continue_is_not_sent_to_a_client_of_http_1_0(client, connection):
    client.sendall(head("Expect: 100-continue", "Content-Length: 5", first="POST / HTTP/1.0") + b"hel")

    request = connection.next(10)
    client.sendall(b"lo")

    assert request.read() == b"hello"
    client.setblocking(False)
    with pytest.raises(BlockingIOError):
        client.recv(100)


def test_too_many_pipelined_requests_are_refused(client, connection):
    client.sendall(head(first="GET / HTTP/1.1") * (MAX_PIPELINED + 1))

    methods = [connection.next(10).method for _ in range(MAX_PIPELINED)]

    assert methods == ["GET"] * MAX_PIPELINED
    with pytest.raises(MalformedRequestError, match="100 requests before it still wait for their responses"):
        connection.next(10)


@pytest.mark.parametrize("endless", [b"0\r\nA: " + b"a" * 10**6, b"1;" + b"a" * 10**6], ids=["trailer", "extension"])
def test_endless_trailers_and_chunk_extensions_are_cut_off(client, connection, endless):
    with ThreadPoolExecutor() as threads:
        sending = threads.submit(client.sendall, head("Transfer-Encoding: chunked") + b"1\r\nx\r\n" + endless)
        request = connection.next(10)

        with pytest.raises(MalformedBodyError, match="size and extensions, or the trailers, pass 65,536 bytes"):
            request.read()
        connection.close()

    assert isinstance(sending.exception(), OSError)  # nobody reads it to its end


def test_closing_frees_a_request_without_garbage_collection(client, connection):
    client.sendall(head("Content-Length: 9") + b"abc")
    request = connection.next(10)
    left = weakref.ref(request)

    gc.disable()
    try:
        connection.close()
        del request, connection
        assert left() is None
    finally:
        gc.enable()


def test_a_client_that_left_has_no_next_request(client, connection):
    client.close()

    assert connection.next(10) is None


def test_a_client_that_left_within_a_head_has_no_next_request(client, connection):
    client.sendall(b"POST /classify HT")
    client.close()

    assert connection.next(10) is None


@pytest.mark.parametrize(
    "message",
    [
        b"hello\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/9.9\r\n\r\n",
        head(first="GET / HTTP/2.0"),
        b"GET /livez\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        head("Host: another"),
        head("Transfer-Encoding: gzip, chunked"),
        head("Transfer-Encoding: gzip", "Transfer-Encoding: chunked"),
        head("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
        head("Transfer-Encoding: chunked", "Connection: keep-alive", first="POST / HTTP/1.0"),
        head("Transfer-Encoding:"),
        head("Content-Length: 3", "Content-Length: 4"),
        head("Content-Length: 3", "Transfer-Encoding: chunked"),
        head("Content-Length: -1"),
        head("Content-Length: 99999999999999999999999"),
        head("Bad Name: 1"),
        head("X: a\nb"),
        head(" folded"),
        head(*(f"X-{number}: 1" for number in range(200))),
        head("X: " + "a" * MAX_HEAD_BYTES),
        head("X: " + "a" * MAX_HEAD_BYTES * 2),
        b"GET /" + b"a" * MAX_HEAD_BYTES * 2,
    ],
    ids=[
        "word", "tls", "version", "2.0", "0.9", "no-host", "two-hosts", "coding", "two-headers",
        "codings", "1.0-coding", "empty-coding", "lengths", "smuggled", "negative", "huge", "name", "line-feed",
        "folded", "many", "long", "longer", "endless",
    ],
)  # fmt: skip
def test_a_malformed_request_is_refused_with_a_reason(client, connection, message):
    client.sendall(message)

    with pytest.raises(MalformedRequestError, match=r"\w"):
        connection.next(10)


def test_garbage_behind_a_good_request_is_refused_after_it(client, connection):
    client.sendall(head("Content-Length: 1") + b"a" + b"\x00\x00\r\n\r\n")

    request = connection.next(10)

    assert request.read() == b"a"
    with pytest.raises(MalformedRequestError):
        connection.next(10)


def test_a_long_head_behind_another_request_is_refused_too(client, connection):
    client.sendall(head() + head("X: " + "a" * MAX_HEAD_BYTES, first="GET /next HTTP/1.1"))

    connection.next(10).read()

    with pytest.raises(MalformedRequestError, match="its head is longer than 65,536 bytes"):
        connection.next(10)


def read_all(connection):
    while request := connection.next(10):
        request.read()


POST = head("Content-Length: 3", first="POST /classify HTTP/1.1")
LONGER = b"abcdef\r\n"  # than the Content-Length says


@pytest.mark.parametrize("pieces", [
    [POST + LONGER], [POST, LONGER], [POST + b"abc", b"def\r\n"], [POST + b"a", b"bcdef\r\n"],
    [POST + b"abcGET /a HTTP/1.1\r\nHost: a\r\n\r\ndef\r\n"], [POST + b"abc", b'{"image": "a"}'],
])  # fmt: skip
def test_bytes_behind_a_body_are_said_to_be_that(client, connection, pieces):
    for piece in pieces[:-1]:
        client.sendall(piece)
        connection.receive()
    client.sendall(pieces[-1])

    with pytest.raises(MalformedRequestError, match="the bytes after the last request are not a request") as refused:
        read_all(connection)

    assert not isinstance(refused.value, UnknownMethodError)


def test_a_method_that_is_not_known_is_said_to_be_that_after_another_request_too(client, connection):
    client.sendall(head(first="GET /a HTTP/1.1"))
    connection.next(10)
    client.sendall(head(first="BREW /b HTTP/1.1"))

    with pytest.raises(UnknownMethodError, match=r"^BREW$"):
        connection.next(10)


def test_a_body_that_ends_early_is_broken(client, connection):
    client.sendall(head("Content-Length: 5") + b"abc")
    request = connection.next(10)
    client.close()

    with pytest.raises(BrokenBodyError, match="ended early"):
        request.read()


@pytest.mark.parametrize("chunk", [b"not a length\r\n", b"-1\r\n", b"f" * 17 + b"\r\n", b"0\r\nno colon\r\n"])
def test_a_malformed_chunk_breaks_the_body_and_is_not_its_end(client, connection, chunk):
    client.sendall(head("Transfer-Encoding: chunked") + b"3\r\nabc\r\n" + chunk)
    request = connection.next(10)

    with pytest.raises(MalformedBodyError, match=r"[Cc]hunk size|header"):
        request.read()
    assert not request.body_complete


def test_a_head_that_has_begun_may_take_less_time_than_a_client_may_be_idle(client, connection):
    client.sendall(b"POST /classify HTTP/1.1\r\n")

    with pytest.raises(TimeoutError):
        connection.next(1_000, head_timeout=0.05)
    with pytest.raises(TimeoutError):  # nor does the rest of a head begin anew
        connection.next(1_000, head_timeout=0.05)


def test_bytes_that_drip_do_not_prolong_the_time_of_a_head(client, connection):
    def drip():
        with suppress(OSError):
            while True:
                client.sendall(b"A")
                time.sleep(0.01)

    with ThreadPoolExecutor() as threads:
        client.sendall(b"GET / HTTP/1.1\r\n")
        threads.submit(drip)

        with pytest.raises(TimeoutError):
            connection.next(1_000, head_timeout=0.1)
        connection.close()


def test_an_unfinished_head_is_refused_at_its_101st_header(client, connection):
    client.sendall(b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 102)

    with pytest.raises(MalformedRequestError, match="more than 100 headers"):
        connection.next(10)


def test_the_headers_of_waiting_requests_are_limited_together(client, connection):
    client.sendall(head(*["a: b"] * 90, first="GET / HTTP/1.1") * 50)

    with pytest.raises(MalformedRequestError, match="more than 1,000 headers"):
        [connection.next(10) for _ in range(50)]


def test_the_application_does_not_see_an_offer_to_upgrade(client, connection):
    client.sendall(head("Connection: Upgrade", "upgrade: websocket", first="GET / HTTP/1.1"))

    assert not {"HTTP_UPGRADE"} & connection.next(10).environ({}).keys()


def give_up_when_waiting(connection):
    while connection.waiting_since is None:
        time.sleep(0.001)
    connection.give_up()


def test_a_client_that_is_given_up_is_not_waited_for(client, connection):
    with ThreadPoolExecutor() as threads:
        threads.submit(give_up_when_waiting, connection)

        assert connection.next(10) is None
    assert connection.waiting_since is None


def test_a_client_that_does_not_read_can_be_given_up(client, connection):
    with ThreadPoolExecutor() as threads:
        threads.submit(give_up_when_waiting, connection)

        with pytest.raises(OSError, match=r"Broken pipe|reset"):
            connection.send(bytes(10_000_000))


def test_a_large_response_may_take_longer_to_read(client, connection, ends):
    ends[1].settimeout(0.1)
    with ThreadPoolExecutor() as threads:
        sent = threads.submit(connection.send, bytes(1_000_000))
        time.sleep(0.3)

        assert len(client.makefile("rb").read(1_000_000)) == 1_000_000
        sent.result()


def test_a_client_that_does_not_read_its_response_times_out(connection, ends, monkeypatch):
    monkeypatch.setattr("serving.server.connection.MIN_BODY_RATE", 1e9)
    ends[1].settimeout(0.1)

    with pytest.raises(TimeoutError):
        connection.send(bytes(1_000_000))


def test_a_refused_client_that_goes_on_sending_fast_does_not_hold_up_others():
    turns = subprocess.run([sys.executable, "-c", LINGER], capture_output=True, text=True, check=True)

    assert int(turns.stdout) >= 2


def test_a_head_that_arrives_too_slowly_times_out(client, connection):
    client.sendall(b"POST /classify HTTP/1.1\r\n")

    with pytest.raises(TimeoutError):
        connection.next(0)


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("/a%20b%2Fc?d=%20e", "/a b/c", "d=%20e"),
        ("http://thimble:8000/classify?top_k=1", "/classify", "top_k=1"),
        ("http://thimble", "/", ""),
        ("http://thimble:8000?top_k=1", "/", "top_k=1"),
        ("/classify?a?b", "/classify", "a?b"),
        ("http://[::1]:8000/classify", "/classify", ""),
        ("HTTPS://thimble/a/../b?c", "/a/../b", "c"),
        ("*", "*", ""),
    ],
)
def test_the_path_is_decoded_and_the_query_stays_encoded(client, connection, target, path, query):
    client.sendall(head(first=f"OPTIONS {target} HTTP/1.1"))

    environ = connection.next(10).environ({})

    assert (environ["PATH_INFO"], environ["QUERY_STRING"]) == (path, query)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_only_options_may_ask_for_all_paths(client, connection, method):
    client.sendall(head(first=f"{method} * HTTP/1.1"))

    with pytest.raises(MalformedRequestError, match="its target is neither a path nor a URL with a host"):
        connection.next(10)


@pytest.mark.parametrize("target", ["http://[/x", "http://[/livez", "http://a]b/livez", "http://?x", "http:///livez"])
@pytest.mark.parametrize("method", ["GET", "OPTIONS", "POST"])
def test_a_target_that_is_a_url_without_a_host_is_refused(client, connection, method, target):
    client.sendall(head(first=f"{method} {target} HTTP/1.1"))

    with pytest.raises(MalformedRequestError, match="its target is neither a path nor a URL with a host"):
        connection.next(10)


def test_a_header_with_an_underscore_does_not_pass_for_one_with_a_hyphen(client, connection):
    client.sendall(head("X-Request-ID: mine", "X_Request_ID: forged"))

    assert connection.next(10).environ({})["HTTP_X_REQUEST_ID"] == "mine"


def test_a_repeated_header_becomes_one_list(client, connection):
    client.sendall(head("Accept: a", "Accept: b"))

    assert connection.next(10).environ({})["HTTP_ACCEPT"] == "a,b"


def test_a_response_arrives_although_the_client_goes_on_sending(client, connection, ends):
    client.sendall(head("Content-Length: 100000") + bytes(50_000))
    connection.next(10)
    connection.send(b"HTTP/1.1 413 Too Large\r\n\r\n")
    client.sendall(bytes(40_000))
    client.shutdown(socket.SHUT_WR)

    connection.linger()
    ends[1].close()

    assert client.recv(100) == b"HTTP/1.1 413 Too Large\r\n\r\n"
    assert client.recv(100) == b""


def test_a_client_is_idle_once_it_has_asked_and_sends_no_more(client, connection):
    with ThreadPoolExecutor(1) as reader:
        client.sendall(head(first="GET /livez HTTP/1.1"))
        connection.next(10)
        following = reader.submit(connection.next, 10)
        while connection.waiting_since is None:
            time.sleep(0.01)

        assert connection.idle_for(0, before_first=60)
        assert not connection.idle_for(60, before_first=0)
        client.close()
        assert following.result() is None


def test_a_client_that_has_not_asked_yet_may_take_longer(client, connection):
    with ThreadPoolExecutor(1) as reader:
        request = reader.submit(connection.next, 10)
        while connection.waiting_since is None:
            time.sleep(0.01)

        assert not connection.idle_for(0, before_first=60)
        assert connection.idle_for(60, before_first=0)
        client.sendall(head(first="GET /livez HTTP/1.1"))
        assert request.result().target == b"/livez"


class SlowlyRead(socket.socket):
    """A socket whose reader looks, before it reads, whether its connection is idle."""

    def recv(self, *arguments):
        self.idle = self.connection.idle_for(0, before_first=0)
        return super().recv(*arguments)


def test_a_client_is_not_idle_whose_request_has_come_but_is_not_read_yet(ends):
    client, server = ends
    with SlowlyRead(fileno=server.detach()) as slow:
        slow.connection = Connection(slow)
        client.sendall(head(first="GET /livez HTTP/1.1"))

        assert slow.connection.next(10).target == b"/livez"
        assert not slow.idle
