"""Ends the stream of new connections to a listening socket without losing one that is already there.

Closing it resets the connections that wait to be accepted, and there is always one more while clients keep connecting.
"""

import ctypes
import socket
import struct
import sys
from contextlib import suppress

SO_ATTACH_FILTER = 26  # of Linux; Python has no name for it
# A program of classic BPF (Linux, networking/filter.rst) that sees TCP's header: it drops what asks for a connection,
# a SYN without ACK, and keeps all of it otherwise. Each instruction is a code, two jumps and a constant.
TCP_FLAGS, SYN_AND_ACK, SYN, WHOLE = 13, 0x12, 0x02, 0xFFFF_FFFF
DROP_SYN = (
    (0x30, 0, 0, TCP_FLAGS),  # load this byte
    (0x54, 0, 0, SYN_AND_ACK),  # keep these bits of it
    (0x15, 0, 1, SYN),  # go on if they equal this, otherwise skip one
    (0x06, 0, 0, 0),  # return: keep no byte
    (0x06, 0, 0, WHOLE),
)


def drop_syns(listener: socket.socket) -> None:
    """Let nobody connect any more, whoever accepts from this socket; a client asks again after a second.

    Those that have connected can be accepted. Without Linux it does nothing.
    """
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *instruction) for instruction in DROP_SYN))
    if sys.platform == "linux":
        with suppress(OSError):  # a sandbox that has no filters: closing may then lose a few
            option = struct.pack("HP", len(DROP_SYN), ctypes.addressof(program))
            listener.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, option)
