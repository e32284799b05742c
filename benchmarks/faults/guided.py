"""python -m benchmarks.faults.guided: bytes that atheris mutates until they reach new lines of what reads uploads.

Each reader may raise the refusals that it documents, and nothing else; the first input for which it raises something
else ends the run and is kept in build/faults. Needs atheris (pip install --group fuzz).
"""

import argparse
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress

import atheris

with atheris.instrument_imports(include=["serving", "multipart"]):
    from serving.api.content import read_content
    from serving.api.intake import Intake
    from serving.api.query import PARAMETERS, parse_options, query_pairs
    from serving.api.uploads import read_uploads
    from serving.errors import Refusal
    from serving.imaging.decoding import PixelBudget, configure_pillow, decode, read_header
    from serving.imaging.plain import is_quick
    from serving.model.card import CARD_KEY, ContractError, ModelCard
    from serving.model.external_data import check_self_contained
    from serving.server.connection import Connection, MalformedRequestError
    from serving.server.request import BrokenBodyError
    from serving.settings import Settings

from benchmarks.faults.pictures import pictures
from benchmarks.faults.requests import BOUNDARY
from benchmarks.faults.service import KEPT

MAX_PIXELS = 100_000  # so that each input takes little time
MAX_BYTES = 4_096  # of an input
INTAKE = Intake.from_settings(Settings())
TYPES = ("image/png", "application/json", f"multipart/form-data; boundary={BOUNDARY}", "text/plain")
EXAMPLES = (
    b'{"image": "data:image/png;base64,iVBORw0KGgo=", "top_k": 3}',
    f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="a"; filename="b"\r\n\r\nc\r\n--{BOUNDARY}--\r\n'.encode(),
    b"POST /classify HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    b"model=fashion-net:1&top_k=3&coverage=0.9&seen=true",
    b'{"schema": 1, "name": "a", "labels": ["b"]}',
)


def image(data: bytes) -> None:
    """Decode an image as the event loop and the decoders do."""
    is_quick(data)
    decode(read_header(data, PixelBudget(MAX_PIXELS)), 64)


def body(data: bytes) -> None:
    """Read a body: its first byte chooses the type, its second the coding."""
    kind, coding, content = data[0] % len(TYPES), data[1] % 4, data[2:]
    environ = {"CONTENT_TYPE": TYPES[kind], "CONTENT_LENGTH": str(len(content)), "wsgi.input": _Arrived(content)}
    if coding > 1:
        environ["HTTP_CONTENT_ENCODING"] = ("gzip", "deflate")[coding - 2]
    with read_content(environ, INTAKE) as read:
        read_uploads(environ, read, INTAKE, PARAMETERS)


def query(data: bytes) -> None:
    """Read a query string."""
    parse_options(query_pairs(data.decode("latin-1")), PARAMETERS)


def card(data: bytes) -> None:
    """Read a card."""
    ModelCard.from_metadata({CARD_KEY: data.decode("utf-8", "replace")})


def http(data: bytes) -> None:
    """Read the requests of a connection."""
    server, client = socket.socketpair()
    client.sendall(data)
    client.close()
    connection = Connection(server)
    try:
        while request := connection.next(1.0):
            request.environ({})
            request.read()
    finally:
        connection.close()


READERS: dict[str, tuple[Callable[[bytes], None], tuple[type[Exception], ...]]] = {
    "image": (image, (Refusal,)),
    "body": (body, (Refusal,)),
    "query": (query, (Refusal,)),
    "card": (card, (ContractError,)),
    "graph": (check_self_contained, (ContractError,)),
    "http": (http, (MalformedRequestError, BrokenBodyError, ConnectionError, TimeoutError)),
}


class _Arrived:
    """A body that has arrived whole."""

    body_complete = True

    def __init__(self, content: bytes) -> None:
        self._content = content

    def read(self, _: int = -1) -> bytes:
        return self._content


def read(data: bytes) -> None:
    """Give the input to the reader that its first byte chooses."""
    if len(data) < 3:
        return
    reader, refusals = list(READERS.values())[data[0] % len(READERS)]
    with suppress(*refusals):
        reader(data[1:])


def main(arguments: Sequence[str] | None = None) -> None:
    """Run atheris, which ends the process: with status 0 where nothing was found."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults.guided", description="Mutate inputs, guided.")
    parser.add_argument("--seconds", type=int, default=120, help="default 120")
    parser.add_argument("--seed", type=int, default=1, help="default 1; 0 draws one")
    options = parser.parse_args(arguments)
    configure_pillow()
    corpus = KEPT / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    seeds = [bytes([place]) + example for place in range(len(READERS)) for example in EXAMPLES]
    seeds += [
        bytes([place]) + picture for place in (0, 1) for picture in pictures().values() if len(picture) < MAX_BYTES
    ]
    for number, seed in enumerate(seeds):
        (corpus / f"seed-{number}").write_bytes(seed)
    limits = [f"-max_total_time={options.seconds}", f"-seed={options.seed}", f"-max_len={MAX_BYTES}", "-timeout=10"]
    kept = ["-rss_limit_mb=4096", f"-artifact_prefix={KEPT}/", "-print_final_stats=1", "-verbosity=0"]
    atheris.Setup([sys.argv[0], *limits, *kept, str(corpus)], read)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
