"""Standard error of all processes of a server goes through its master: a reader that stalls stops none of them."""

import fcntl
import os
import queue
import select
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import msgspec

from serving.telemetry.dropped_lines import DroppedLines
from serving.telemetry.logs import STDERR, rfc3339

PIPE_BYTES = 1_048_576  # the most that Linux gives without privileges: a busy master may read late
READ_BYTES = 16_384
MAX_WAITING = 256  # pieces that may wait for the reader of the log, 4 MB; more are dropped
QUIET_SECONDS = 0.1  # without any line, after which a text, such as a traceback in many lines, is complete
TEXT_SECONDS = 0.5  # the same, while records come all the time
MAX_TEXT_BYTES = 8_192  # of a text in one record; a longer one becomes several
JOIN_TIMEOUT = 2.0  # seconds for the reader to take what is left, at the end


class LineSorter:
    """Takes the log in pieces and gives it in lines of JSON: whatever else was written is put into records."""

    def __init__(self) -> None:
        self._rest = b""  # of a line that has no end yet
        self._text: list[bytes] = []
        self._since = 0.0  # the text's first line, on the clock of time.monotonic

    @property
    def has_text(self) -> bool:
        """Whether something waits for its end."""
        return bool(self._text or self._rest)

    @property
    def has_waited(self) -> bool:
        """Whether text has waited for as long as it may, while records went on."""
        return bool(self._text) and time.monotonic() > self._since + TEXT_SECONDS

    def add(self, data: bytes) -> Iterator[bytes]:
        """Take a piece; yield the lines that are complete, joined."""
        if not self._rest and _has_only_records(data):
            yield data
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        records = [line for line in lines if _is_record(line)]
        if len(records) < len(lines):
            self._since = self._since if self._text else time.monotonic()
            self._text += [line for line in lines if not _is_record(line)]
        if records:
            yield b"\n".join([*records, b""])
        if sum(map(len, self._text)) + len(self._rest) > MAX_TEXT_BYTES:
            yield from self.end_text(cut_record=len(self._rest) > PIPE_BYTES)

    def end_text(self, cut_record: bool) -> Iterator[bytes]:
        """Yield the text that has come as records; cut_record: do not wait for the end of one that has begun."""
        rest = self._rest if cut_record or not self._rest.startswith(b'{"') else b""
        text, self._text, self._rest = b"\n".join([*self._text, rest]).strip(), [], self._rest[len(rest) :]
        for start in range(0, len(text), MAX_TEXT_BYTES):
            message = text[start : start + MAX_TEXT_BYTES].decode("utf-8", "replace")
            record = {"time": rfc3339(time.time()), "level": "warning", "logger": "stderr", "message": message}
            yield msgspec.json.encode(record) + b"\n"


class LogRelay:
    """Reads what processes write to standard error, and passes it on in a thread that alone waits for its reader."""

    def __init__(self, as_text: bool) -> None:
        """as_text: pass on everything as it is, instead of as lines of JSON."""
        self._sorter = None if as_text else LineSorter()
        self._waiting: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._master = 0
        self._output = STDERR

    def start(self, dropped: DroppedLines) -> None:
        """Take the place of standard error, in this process and in those that it forks from now on."""
        self._dropped, self._master = dropped, os.getpid()
        reader, writer = os.pipe()
        _enlarge(writer)
        os.set_blocking(writer, False)  # who cannot write drops the line
        self._output = os.dup(STDERR)
        os.dup2(writer, STDERR)
        os.close(writer)
        self._threads = [
            threading.Thread(target=self._read, args=[reader], name="log-reader", daemon=True),
            threading.Thread(target=self._write, name="log-writer", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def give_back(self) -> None:
        """Let this process write to the real standard error again."""
        os.dup2(self._output, STDERR)

    def stop(self) -> None:
        """Pass on what is left, as far as its reader takes it in time, and end. All other processes must have ended."""
        if os.getpid() != self._master:
            return
        self.give_back()  # this closes the last end to write to
        for thread in self._threads:
            thread.join(JOIN_TIMEOUT)
        if any(thread.is_alive() for thread in self._threads):  # whatever is written now would wait for ever
            os.dup2(os.open(os.devnull, os.O_WRONLY), STDERR)

    def _read(self, reader: int) -> None:
        while data := self._read_piece(reader):
            for piece in self._sorter.add(data) if self._sorter else [data]:
                self._pass_on(piece)
        self._end_text(cut_record=True)
        self._waiting.put(b"")

    def _read_piece(self, reader: int) -> bytes:
        if self._sorter and self._sorter.has_text:
            more, _, _ = select.select([reader], [], [], QUIET_SECONDS)
            if not more or self._sorter.has_waited:
                self._end_text(cut_record=not more)
        return os.read(reader, READ_BYTES)

    def _end_text(self, cut_record: bool) -> None:
        for piece in self._sorter.end_text(cut_record) if self._sorter else []:
            self._pass_on(piece)

    def _pass_on(self, piece: bytes) -> None:
        if self._waiting.qsize() < MAX_WAITING:
            self._waiting.put(piece)
        else:
            self._dropped.add(piece.count(b"\n"))

    def _write(self) -> None:
        while piece := self._waiting.get():
            try:
                while piece:
                    piece = piece[self._write_some(piece) :]
            except OSError:  # nobody reads it any more, or the disk is full
                self._dropped.add(piece.count(b"\n"))

    def _write_some(self, piece: bytes) -> int:
        try:
            return os.write(self._output, piece)
        except BlockingIOError:  # whoever started the service has made it so
            select.select([], [self._output], [])
            return 0


def _has_only_records(data: bytes) -> bool:
    """Whether a piece has only records and needs no sorting, as nearly all pieces."""
    return data.startswith(b'{"') and data.endswith(b"}\n") and data.count(b'}\n{"') + 1 == data.count(b"\n")


def _is_record(line: bytes) -> bool:
    return line.startswith(b'{"') and line.endswith(b"}")


def _enlarge(pipe: int) -> None:
    """Let a pipe hold more, where the system can."""
    with suppress(AttributeError, OSError):
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
