"""The timeout for the arrival of a body, on a real pair of sockets."""

import socket
import time
from contextlib import closing

import pytest

from serving.server.deadline import MIN_BODY_RATE, Deadline

CHECK_INTERVAL = 0.02  # seconds


@pytest.fixture
def pair():
    server, client = socket.socketpair()
    server.settimeout(10)
    with closing(server), closing(client):
        yield server, client


def test_a_late_body_reads_as_ended(pair):
    server, client = pair
    client.send(b"half")
    started = time.monotonic()

    with Deadline(0.1, CHECK_INTERVAL).watch(server) as body:
        read = [server.recv(100), server.recv(100)]

    assert read == [b"half", b""]
    assert body.late
    assert 0.1 <= time.monotonic() - started < 0.1 + CHECK_INTERVAL + 2


def test_a_late_body_is_still_answered(pair):
    server, client = pair
    with Deadline(0.01, CHECK_INTERVAL).watch(server):
        server.recv(100)

    server.sendall(b"408")

    assert client.recv(100) == b"408"


def test_a_body_that_arrives_at_the_least_rate_may_take_longer(pair):
    server, _ = pair
    started = time.monotonic()

    def received():
        return int(min(0.25, time.monotonic() - started) * MIN_BODY_RATE)

    with Deadline(0.1, CHECK_INTERVAL).watch(server, received) as body:
        server.recv(100)

    assert body.late
    assert time.monotonic() - started >= 0.3


def test_a_body_that_came_fast_may_stall_no_longer_than_any_other(pair):
    server, _ = pair

    with Deadline(0.05, CHECK_INTERVAL).watch(server, lambda: 9 * MIN_BODY_RATE) as body:
        server.recv(100)

    assert body.late
    assert body.seconds < 9


def test_a_drip_is_late(pair):
    server, client = pair
    read = 0

    with Deadline(0.1, CHECK_INTERVAL).watch(server, lambda: read) as body:
        while not body.late:
            client.send(b"x")
            read += len(server.recv(100))
            time.sleep(0.001)

    assert 0 < read < MIN_BODY_RATE


def test_a_body_in_time_leaves_the_connection_open(pair):
    server, client = pair
    deadline = Deadline(0.2, CHECK_INTERVAL)
    client.send(b"whole")
    with deadline.watch(server) as body:
        server.recv(100)
    later, silent = socket.socketpair()
    with closing(later), closing(silent), deadline.watch(later):
        later.recv(100)  # until it is late: the body before would have been so too

    client.send(b"next")

    assert server.recv(100) == b"next"
    assert not body.late


def test_a_client_that_left_does_not_stop_the_deadlines_of_others(pair):
    server, _ = pair
    gone, other = socket.socketpair()
    other.close()
    deadline = Deadline(0.05, CHECK_INTERVAL)

    with deadline.watch(gone) as first:
        gone.close()
        with deadline.watch(server) as second:
            assert server.recv(100) == b""

    assert first.late
    assert second.late


def test_only_overdue_bodies_expire(pair):
    server, client = pair
    slow, other = socket.socketpair()
    deadline = Deadline(0.3, CHECK_INTERVAL)

    with closing(slow), closing(other), deadline.watch(slow) as late:
        slow.recv(100)
        with deadline.watch(server) as early:
            client.send(b"whole")
            server.recv(100)

    assert late.late
    assert not early.late
