"""A listening socket to which nobody can connect any more."""

import socket
import sys
from contextlib import closing

import pytest

from serving.server.syn_filter import drop_syns


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has such filters")
@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_who_has_connected_is_served_and_nobody_else_connects(family, host):
    with closing(socket.create_server((host, 0), family=family)) as listener:
        address = listener.getsockname()[:2]
        with closing(socket.create_connection(address, timeout=20)) as client:
            drop_syns(listener)
            with pytest.raises(TimeoutError):
                socket.create_connection(address, timeout=0.3)

            accepted, _ = listener.accept()
            with closing(accepted):
                client.sendall(b"hello")
                assert accepted.recv(5) == b"hello"


def test_a_socket_without_filters_is_left_as_it_is():
    listener = socket.create_server(("127.0.0.1", 0))
    listener.close()

    drop_syns(listener)  # whatever the system refuses is no error

    assert listener.fileno() == -1
