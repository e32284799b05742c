import hashlib
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from lookalikes import cifar_10, fashion_mnist, packed

from training.datasets.builtin import CIFAR_10, FASHION_MNIST
from training.datasets.download import DownloadedDataset
from training.datasets.formats import DataError

GARMENTS = fashion_mnist(train=30, test=20)
FIRST = "train-images-idx3-ubyte.gz"


@dataclass
class Home:
    """A running server: its address, and the requests that it got."""

    url: str = ""
    asked: list[str] = field(default_factory=list)


@contextmanager
def serving(files: Mapping[str, bytes], missing_bytes: int, tells_length: bool) -> Iterator[Home]:
    home = Home()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # the name that http.server calls
            name = self.path.removeprefix("/data/")
            home.asked.append(name)
            if name not in files:
                self.send_error(404)
                return
            self.send_response(200)
            if tells_length:
                self.send_header("Content-Length", str(len(files[name]) + missing_bytes))
            self.end_headers()
            self.wfile.write(files[name])

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        home.url = f"http://127.0.0.1:{server.server_port}/data/"
        yield home
        server.shutdown()
        thread.join()


@pytest.fixture
def home() -> Iterator[Callable[..., Home]]:
    """Start a server of files; with missing bytes it promises so many more than it sends."""
    with ExitStack() as stack:
        yield lambda files, missing_bytes=0, tells_length=True: stack.enter_context(
            serving(files, missing_bytes, tells_length)
        )


@pytest.fixture
def unreachable() -> str:
    """An address at which no server listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}/"


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """The folder of downloaded files: the home of each test is in its temporary folder."""
    return tmp_path / "home/.cache/thimble"


def garments_from(*homes: str) -> DownloadedDataset:
    md5 = {name: hashlib.md5(content).hexdigest() for name, content in GARMENTS.items()}
    return replace(FASHION_MNIST, homes=homes, md5=md5)


def files_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("tells_length", [True, False])
def test_missing_files_are_downloaded_into_the_cache_and_read(home, cache, tells_length):
    source = garments_from(home(GARMENTS, tells_length=tells_length).url)

    data = source.load()

    assert (len(data.train), len(data.test)) == (30, 20)
    assert files_in(cache / "fashion-mnist") == GARMENTS


def test_a_file_is_downloaded_only_once(home):
    server = home(GARMENTS)
    source = garments_from(server.url)
    source.load()

    source.load()

    assert sorted(server.asked) == sorted(GARMENTS)


def test_a_file_in_a_named_place_is_not_downloaded(home, data_dir):
    server = home(GARMENTS)

    garments_from(server.url).load(data_dir)

    assert server.asked == []


def test_cifar_is_downloaded_as_the_archive(home, cache, tmp_path):
    content = packed(tmp_path / "archive", cifar_10(batch=4)).read_bytes()
    digest = hashlib.md5(content).hexdigest()
    url = home({"cifar-10-binary.tar.gz": content}).url

    data = replace(CIFAR_10, homes=(url,), md5={"cifar-10-binary.tar.gz": digest}).load()

    assert (len(data.train), len(data.test)) == (20, 4)
    assert files_in(cache) == {"cifar-10-binary.tar.gz": content}


def test_a_file_with_another_hash_is_refused_and_not_kept(home, cache):
    url = home(GARMENTS | {FIRST: GARMENTS[FIRST] + b"x"}).url

    with pytest.raises(DataError, match="hash") as refusal:
        garments_from(url).load()

    assert url in str(refusal.value)
    assert files_in(cache) == {}


def test_a_broken_download_is_refused_and_nothing_is_kept(home, cache):
    url = home(GARMENTS, missing_bytes=100).url

    with pytest.raises(DataError, match=f"fashion-mnist/{FIRST} could not be downloaded") as refusal:
        garments_from(url).load()

    assert url in str(refusal.value)
    assert files_in(cache) == {}


def test_a_broken_download_keeps_the_files_before_it(home, cache):
    whole = {name: content for name, content in GARMENTS.items() if name != "t10k-labels-idx1-ubyte.gz"}

    with pytest.raises(DataError, match=r"t10k-labels-idx1-ubyte\.gz could not be downloaded(.|\n)*404"):
        garments_from(home(whole).url).load()

    assert files_in(cache) == whole


def test_with_no_network_the_message_says_which_file_to_put_where(unreachable, cache):
    with pytest.raises(DataError) as refusal:
        garments_from(unreachable).load()

    message = str(refusal.value)
    assert f"Fashion-MNIST: fashion-mnist/{FIRST} could not be downloaded" in message
    assert unreachable in message
    assert f"put it at {cache / 'fashion-mnist' / FIRST}" in message
    assert "--data-dir or THIMBLE_DATA" in message


@pytest.mark.parametrize("trouble", ["unreachable", "404", "another hash", "broken"])
def test_the_second_home_is_used_when_the_first_fails(home, unreachable, cache, trouble):
    first = {
        "unreachable": lambda: unreachable,
        "404": lambda: home({}).url,
        "another hash": lambda: home(dict.fromkeys(GARMENTS, b"another")).url,
        "broken": lambda: home(GARMENTS, missing_bytes=1).url,
    }[trouble]()

    data = garments_from(first, home(GARMENTS).url).load()

    assert len(data.train) == 30
    assert files_in(cache) == GARMENTS


def test_when_every_home_fails_the_message_names_each_of_them(home, unreachable):
    other = home({}).url

    with pytest.raises(DataError) as refusal:
        garments_from(unreachable, other).load()

    assert unreachable in str(refusal.value)
    assert other in str(refusal.value)


def test_a_cache_that_cannot_be_written_is_reported(home, cache):
    cache.parent.mkdir(parents=True)
    cache.write_text("a file where the folder should be")

    with pytest.raises(DataError, match=rf"could not be downloaded:\n  http:.*: {cache.parent}.*: [A-Z][a-z ]+\n"):
        garments_from(home(GARMENTS).url).load()
