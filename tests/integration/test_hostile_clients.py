"""Clients that stall, drip or flood, and a reader of the log that stalls: all others are answered."""

import os
import signal
import socket
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
import requests
from polling import wait_until

from serving.api.intake import FULL_SIZE_BODIES

COMMAND = (sys.executable, "-m", "serving")
GET = b"GET /livez HTTP/1.1\r\nHost: thimble\r\n\r\n"
SLOW_BODY = b"POST /classify HTTP/1.1\r\nHost: thimble\r\nContent-Length: 5000\r\n\r\nabc"
PLACES = 20


@pytest.fixture(scope="module")
def small_server(start):
    """Return a server whose one worker has few places for connections."""
    arguments = f"GUNICORN_CMD_ARGS=--worker-connections {PLACES}"
    return start(("env", arguments, *COMMAND), workers="1", log_format="json", body_seconds="60")


def connect(server):
    return socket.create_connection(("127.0.0.1", server.port), timeout=20)


@pytest.mark.parametrize(
    "sent", [b"", GET, b"POST /classify HTTP/1.1\r\nHost: th", SLOW_BODY], ids=["silent", "idle", "head", "body"]
)
def test_clients_that_stall_do_not_shut_others_out(small_server, sent):
    with ExitStack() as stalled:
        for _ in range(2 * PLACES):
            stalled.enter_context(connection := connect(small_server))
            connection.sendall(sent)

        assert [requests.get(f"{small_server.url}/livez", timeout=20).status_code for _ in range(5)] == [200] * 5


def test_the_client_that_was_silent_for_longest_has_to_go(small_server):
    with ExitStack() as clients:
        first, *others = [clients.enter_context(connect(small_server)) for _ in range(PLACES + 3)]

        assert first.recv(1) == b""
        others[-1].sendall(GET)
        assert others[-1].recv(100).startswith(b"HTTP/1.1 200 OK")


def test_large_bodies_that_are_announced_and_not_sent_shut_no_upload_out(small_server):
    with ExitStack() as silent:
        for _ in range(FULL_SIZE_BODIES):
            silent.enter_context(connection := connect(small_server))
            connection.sendall(SLOW_BODY.replace(b"5000", b"33000000"))
        time.sleep(0.5)

        assert requests.post(f"{small_server.url}/classify", data=b"x" * 200_000, timeout=20).status_code == 422


def test_an_offer_of_a_websocket_is_ignored(server):
    headers = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}

    assert requests.get(f"{server.url}/livez", headers=headers, timeout=20).json() == {"live": True}


@pytest.mark.trains
def test_connections_that_wait_to_be_accepted_at_sigterm_are_answered(start):
    server = start(workers="1")
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children")
    worker = int(children.read_text())
    os.kill(worker, signal.SIGSTOP)  # as if it were busy
    with ExitStack() as clients:
        waiting = [clients.enter_context(connect(server)) for _ in range(30)]
        for connection in waiting:
            connection.sendall(GET)
        server.process.terminate()
        time.sleep(0.5)
        os.kill(worker, signal.SIGCONT)

        answers = [connection.recv(1_000) for connection in waiting]

    assert [answer[:15] for answer in answers] == [b"HTTP/1.1 200 OK"] * 30
    assert server.process.wait(30) == 0


@pytest.mark.trains
def test_a_reader_of_the_log_that_stalls_stops_neither_requests_nor_the_end(start, tmp_path):
    os.mkfifo(pipe := tmp_path / "log")
    reader = os.open(pipe, os.O_RDWR)  # it never reads
    server = start(("sh", "-c", f'exec "$@" 2>{pipe}', "sh", *COMMAND), workers="2", log_format="json")
    deadline, lost = time.monotonic() + 60, "0.0"

    while lost == "0.0":
        assert time.monotonic() < deadline
        send_pipelined(server.port, b"GET /%s HTTP/1.1\r\nHost: thimble\r\n\r\n" % (b"x" * 200), 100)
        metrics = requests.get(f"{server.url}/metrics", timeout=20).text
        lost = metrics.partition("\nthimble_log_dropped_lines_total ")[2].partition("\n")[0]

    assert float(lost) > 0
    assert server.stop() == 0
    os.close(reader)


@pytest.mark.trains
def test_a_log_that_is_full_before_the_start_holds_up_neither_start_nor_end(start, tmp_path):
    os.mkfifo(pipe := tmp_path / "log")
    reader = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)  # it never reads
    with suppress(BlockingIOError):
        while os.write(reader, bytes(1)):
            pass

    server = start(("sh", "-c", f'exec "$@" 2>{pipe}', "sh", *COMMAND), workers="1", log_format="json")

    assert requests.get(f"{server.url}/readyz", timeout=20).status_code == 200
    assert server.stop() == 0
    os.close(reader)


def send_pipelined(port, request, count):
    with suppress(ConnectionError), socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(request * (count - 1) + request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        while connection.recv(100_000):
            pass


@pytest.mark.trains
def test_a_refused_large_upload_is_one_line_of_the_log(small_server):
    before = small_server.log.read_text()

    refused = requests.post(f"{small_server.url}/classify", data=b"x" * 200_000, timeout=20)

    assert refused.status_code == 422
    wait_until(lambda: '"status":422' in small_server.log.read_text()[len(before) :])
    new = small_server.log.read_text()[len(before) :].splitlines()
    assert all(line.startswith('{"time"') for line in new)
    assert len([line for line in new if "/livez" not in line]) == 1


@pytest.mark.trains
def test_without_room_for_shared_counts_the_service_says_so_and_serves(start, image):
    server = start(("sh", "-c", 'ulimit -f 512; exec "$@"', "sh", *COMMAND), workers="2")

    answers = [requests.post(f"{server.url}/classify", data=image("bag"), timeout=20) for _ in range(4)]

    assert [answer.status_code for answer in answers] == [200] * 4
    assert "thimble_requests_total" in requests.get(f"{server.url}/metrics", timeout=20).text
    assert server.log.read_text().count("no room in shared memory: each worker counts alone") == 1
    assert server.stop() == 0


@pytest.mark.trains
def test_a_low_limit_of_open_files_is_raised_as_far_as_it_may_be(start):
    soft, hard = (
        start(("sh", "-c", f"ulimit {flag} 120; exec {sys.executable} -m serving"), workers="1")
        for flag in ("-Sn", "-n")
    )
    with ExitStack() as clients:
        for _ in range(150):
            clients.enter_context(connect(soft))
        time.sleep(1.5)  # the worker counts about once a second, for which it opens files

        assert requests.get(f"{soft.url}/livez", timeout=20).status_code == 200
    assert "Too many open files" not in soft.log.read_text()
    assert "a process may have 120 files open, and a full worker needs 1200" in hard.log.read_text()
