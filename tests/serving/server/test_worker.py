"""The worker's listener hands over each connection, also those that it accepts last."""

import logging
import os
import socket

import gevent
import gevent.socket
import pytest
from gevent import get_hub
from gevent.ssl import PROTOCOL_TLS_SERVER, SSLContext
from gunicorn.config import Config
from gunicorn.glogging import Logger
from waiting import until

from serving.server.worker import Worker

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


class QuietLogger(Logger):
    """Writes no line for an answer."""

    def access(self, *_):
        pass


@pytest.fixture
def worker():
    config = Config()
    worker = Worker(1, os.getpid(), [], None, 30, config, QuietLogger(config))
    worker.connections = set()
    yield worker
    worker.tmp.close()


@pytest.fixture
def listener():
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    return listener


def test_a_connection_accepted_before_the_listener_closes_is_answered(worker, listener):
    address = listener.getsockname()
    ports = []

    def application(environ, start_response):
        ports.append(environ["SERVER_PORT"])
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]

    worker.wsgi = application
    server = worker.server_class(listener, spawn=10)
    server.start()
    server.stop_accepting()  # so that all of them wait until it closes
    clients = [socket.create_connection(address) for _ in range(3)]
    for client in clients:
        client.sendall(REQUEST)

    worker.alive = False  # its connections end after an answer
    server.close()
    until(lambda: len(ports) == len(clients) and not worker.connections)

    answers = [client.recv(1_000) for client in clients]
    for client in clients:
        client.close()
    assert [answer[-2:] for answer in answers] == [b"ok"] * 3
    assert ports == [str(address[1])] * 3


def test_a_response_is_closed_once_its_client_has_read_it(worker, listener):
    size, closed = 20_000_000, []

    class Parts(list):
        def close(self):
            closed.append(True)

    def application(environ, start_response):
        start_response("200 OK", [("Content-Length", str(size))])
        return Parts([bytes(size)])

    worker.wsgi, worker.alive = application, False
    server = worker.server_class(listener, spawn=10)
    server.start()
    with gevent.socket.create_connection(listener.getsockname()) as client:
        client.sendall(REQUEST)
        received = len(client.recv(1_000))
        gevent.sleep(0.05)
        assert not closed
        while data := client.recv(1_000_000):
            received += len(data)

    until(lambda: closed)
    server.stop()
    assert received > size


def test_a_client_that_does_not_wait_for_its_responses_holds_up_no_other(worker, listener, monkeypatch):
    monkeypatch.setattr("serving.concurrency.TURN_SECONDS", 0.0)
    paths = []

    def application(environ, start_response):
        paths.append(environ["PATH_INFO"])
        if len(paths) == 1:
            other.sendall(REQUEST.replace(b"/", b"/other", 1))
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]

    worker.wsgi, worker.alive = application, True
    server = worker.server_class(listener, spawn=10)
    server.start()
    address = listener.getsockname()
    with socket.create_connection(address) as client, socket.create_connection(address) as other:
        until(lambda: len(worker.connections) == 2)
        client.sendall(REQUEST * 20)
        until(lambda: len(paths) == 21)
    server.stop()

    assert paths[-1] == "/"


@pytest.mark.parametrize("end", ["plain HTTP", "closed"])
def test_a_failed_tls_handshake_leaves_one_quiet_line_in_the_log(worker, listener, monkeypatch, caplog, end):
    failed = []
    monkeypatch.setattr(get_hub(), "print_exception", lambda context, kind, *_: failed.append((context, kind)))
    caplog.set_level(logging.DEBUG, "serving.server.worker")
    server = worker.server_class(listener, spawn=10, ssl_context=SSLContext(PROTOCOL_TLS_SERVER))
    server.start()
    with socket.create_connection(listener.getsockname()) as client:
        if end == "plain HTTP":
            client.sendall(REQUEST)
        client.shutdown(socket.SHUT_WR)
        until(lambda: failed or caplog.records)
    server.stop()

    assert failed == []
    (record,) = caplog.records
    assert (record.levelname, record.exc_info) == ("DEBUG", None)
    assert "the TLS handshake failed" in record.getMessage()
