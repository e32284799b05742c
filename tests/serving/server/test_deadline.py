"""The limit on how long a body takes to arrive, on a real pair of sockets."""

import socket
import time
from contextlib import closing

import pytest

from serving.server.deadline import TICK, Deadline


@pytest.fixture
def pair():
    server, client = socket.socketpair()
    server.settimeout(10)
    with closing(server), closing(client):
        yield server, client


def test_a_body_that_does_not_arrive_in_time_reads_as_ended(pair):
    server, client = pair
    client.send(b"half")
    started = time.monotonic()

    with Deadline(0.1).watch(server) as body:
        read = [server.recv(100), server.recv(100)]

    assert read == [b"half", b""]
    assert body.late
    assert 0.1 <= time.monotonic() - started < 0.1 + TICK + 2


def test_a_late_body_can_still_be_answered(pair):
    server, client = pair
    with Deadline(0.01).watch(server):
        server.recv(100)

    server.sendall(b"408")

    assert client.recv(100) == b"408"


def test_a_body_that_arrived_leaves_the_connection_open(pair):
    server, client = pair
    deadline = Deadline(0.05)
    with deadline.watch(server) as body:
        client.send(b"whole")
        server.recv(100)
    time.sleep(0.05 + 2 * TICK)

    client.send(b"next")

    assert server.recv(100) == b"next"
    assert not body.late


def test_a_client_that_went_away_does_not_stop_the_watch(pair):
    server, _ = pair
    gone, other = socket.socketpair()
    other.close()
    deadline = Deadline(0.05)

    with deadline.watch(gone) as first:
        gone.close()
        with deadline.watch(server) as second:
            assert server.recv(100) == b""

    assert first.late
    assert second.late


def test_only_the_bodies_that_are_due_are_cut(pair):
    server, client = pair
    slow, other = socket.socketpair()
    deadline = Deadline(1.0)

    with closing(slow), closing(other), deadline.watch(slow) as late:
        slow.recv(100)
        with deadline.watch(server) as early:
            client.send(b"whole")
            server.recv(100)

    assert late.late
    assert not early.late
