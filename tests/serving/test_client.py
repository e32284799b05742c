"""The client against peers that are busy, broken or hostile."""

import csv
import io
import json
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
from PIL import Image

from serving.api import pages
from serving.client import BadAnswerError, Client, NoAnswerError, Problem, connection
from serving.client.__main__ import main
from serving.client.output import COLUMNS, csv_writer

PREDICTION = {
    "model": "cifar-net", "version": "1", "label": "cat", "index": 3, "probability": 0.913,
    "top": [{"label": "cat", "index": 3, "probability": 0.913}], "set": ["cat", "dog"], "coverage": 0.95, "fit": [],
}  # fmt: skip
BUSY = {
    "type": "urn:thimble:problem:overloaded", "title": "Too much", "status": 503, "detail": "Later.",
    "code": "overloaded",
}  # fmt: skip


def http(body: object, status: str = "200 OK", *headers: str) -> bytes:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(content)}", *headers, "", ""]
    return "\r\n".join(head).encode() + content


GOOD = http({"predictions": [PREDICTION]})
NOT_THIS_SERVICE = r"not an answer of this service .+; check the URL\.|not answer with valid HTTP: .+ Check the URL\."


class Peer:
    """Answers each request with the next of these pieces; None closes the connection instead of answering."""

    def __init__(self, *answers: bytes | None) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self._answers = iter(answers)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:  # it is closed
                return
            self.connections += 1
            peer.settimeout(10)
            with peer, suppress(ConnectionError), peer.makefile("rb") as sent:
                while (answer := self._answer(sent)) is not None:
                    peer.sendall(answer)
                    if b"Connection: close" in answer:
                        break

    def _answer(self, sent: BinaryIO) -> bytes | None:
        """Read a request and return its answer; None at the end of either."""
        line = head = sent.readline()
        while line not in (b"\r\n", b"") and head.startswith(b"POST "):
            line = sent.readline()
            head += line
        if not head:
            return None
        length = re.search(rb"Content-Length: (\d+)", head)
        self.requests.append(head + sent.read(int(length[1]) if length else 0))
        return next(self._answers, None)

    def stop(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)


@pytest.fixture
def peer() -> Iterator[Callable[..., Peer]]:
    """Return a maker of peers; all are stopped at the end."""
    peers = []

    def make(*answers: bytes | None) -> Peer:
        peers.append(Peer(*answers))
        return peers[-1]

    yield make
    for one in peers:
        one.stop()


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """Let the client wait hardly at all before it asks again."""
    monkeypatch.setattr(connection, "MIN_RETRY_AFTER", 0.0)


def test_one_connection_serves_all_images(peer):
    service = peer(GOOD, GOOD, GOOD)

    with Client(service.url) as client:
        answers = client.classify([b"one", b"two", b"three"], model="cifar-net:1", top_k=3, coverage=0.9)

    assert [answer.label for answer in answers] == ["cat"] * 3
    assert service.connections == 1
    assert service.requests[0].startswith(b"POST /classify?model=cifar-net%3A1&top_k=3&coverage=0.9 HTTP/1.1\r\n")
    assert service.requests[2].endswith(b"\r\n\r\nthree")


def test_an_image_may_be_a_path_bytes_or_an_open_file(peer, tmp_path):
    service = peer(*[GOOD] * 7)
    file = tmp_path / "cat.jpg"
    file.write_bytes(b"one\ntwo")

    with Client(service.url) as client, file.open("rb") as opened:
        for image in (str(file), file, b"one\ntwo", bytearray(b"one\ntwo"), memoryview(b"one\ntwo"), opened):
            assert len(client.classify(image)) == 1
        client.classify([io.BytesIO(b"one\ntwo")])

    assert [request.partition(b"\r\n\r\n")[2] for request in service.requests] == [b"one\ntwo"] * 7


def test_a_file_that_is_open_for_text_is_refused(tmp_path):
    (tmp_path / "cat.jpg").write_bytes(b"one")

    with (
        Client() as client,
        (tmp_path / "cat.jpg").open(encoding="utf-8") as opened,
        pytest.raises(TypeError, match=r"cat\.jpg.+gives text; open it for reading bytes, with mode 'rb'"),
    ):
        client.classify(opened)


@pytest.mark.parametrize(
    "image",
    [np.zeros((28, 28, 3), np.uint8), Image.new("L", (28, 28)), None, 5],
    ids=lambda image: type(image).__name__,
)
@pytest.mark.parametrize("several", [False, True])
def test_what_is_not_a_file_is_refused_with_what_to_give(image, several):
    with (
        Client() as client,
        pytest.raises(TypeError, match="is not a file; give its path, its bytes, or a file opened"),
    ):
        client.classify([image] if several else image)


def test_each_of_several_threads_gets_the_answers_to_its_own_images(peer):
    labels = [str(number) for number in range(200)]
    service = peer(*[http({"predictions": [PREDICTION | {"label": label}]}) for label in labels])
    given: dict[bytes, str] = {}

    with Client(service.url) as client:

        def ask(thread: int) -> None:
            for number in range(50):
                image = b"%d-%d" % (thread, number)
                given[image] = client.classify(image)[0].label

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    sent = [request.partition(b"\r\n\r\n")[2] for request in service.requests]
    assert given == dict(zip(sent, labels, strict=True))


def test_a_closed_client_may_be_used_again(peer):
    service = peer(GOOD, GOOD)
    client = Client(service.url)

    for _ in range(2):
        assert client.classify(b"one")[0].label == "cat"
        client.close()

    assert service.connections == 2


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf")])
def test_a_client_refuses_a_timeout_that_is_none(timeout):
    with pytest.raises(ValueError, match=f"timeout={timeout:g} is not a number of seconds above 0, and up to 3600"):
        Client(timeout=timeout)


def test_the_set_of_a_novel_image_has_no_coverage(peer):
    service = peer(http({"predictions": [PREDICTION | {"coverage": None, "novel": True}]}))

    with Client(service.url) as client:
        (prediction,) = client.classify(b"one")

    assert (prediction.novel, prediction.coverage) == (True, None)


def test_a_service_may_be_below_a_path(peer):
    service = peer(GOOD)

    with Client(f"{service.url}/our vision/") as client:
        client.classify(b"one")

    assert service.requests[0].startswith(b"POST /our%20vision/classify? HTTP/1.1\r\n")


def test_a_key_is_sent_as_a_bearer_token_and_only_if_there_is_one(peer):
    service = peer(GOOD, GOOD)

    for key in ("thimble_one", None):
        with Client(service.url, key=key) as client:
            client.classify(b"one")

    assert b"\r\nAuthorization: Bearer thimble_one\r\n" in service.requests[0]
    assert b"Authorization" not in service.requests[1]


@pytest.mark.parametrize("key", ["one\r\nX: y", "schlüssel"])
def test_what_cannot_be_a_key_is_refused_before_anything_is_sent(key):
    with pytest.raises(ValueError, match="the key has characters that a key cannot have"):
        Client(key=key)


def test_the_command_takes_the_key_from_the_environment_and_ends_at_once_when_it_is_refused(
    peer, tmp_path, capsys, monkeypatch
):
    monkeypatch.setenv("THIMBLE_KEY", "thimble_one")
    (tmp_path / "cat.jpg").write_bytes(b"one")
    refused = BUSY | {"status": 401, "code": "unauthorised", "detail": "The key has been revoked."}
    service = peer(http(refused, "401 Unauthorized"))

    assert main(["--url", service.url, *[str(tmp_path / "cat.jpg")] * 2]) == 2

    assert capsys.readouterr().err == "The key has been revoked.\n"
    assert b"Authorization: Bearer thimble_one" in service.requests[0]
    assert len(service.requests) == 1


def test_a_closed_connection_is_opened_again(peer):
    service = peer(GOOD, None, GOOD)

    with Client(service.url) as client:
        answers = client.classify([b"one", b"two"])

    assert len(answers) == 2
    assert service.connections == 2


def test_a_client_that_was_interrupted_can_be_used_again(peer):
    service = peer(b"", GOOD)  # the first image gets no answer
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    with Client(service.url) as client:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(KeyboardInterrupt):
            client.classify(b"1")
        signal.signal(signal.SIGALRM, before)

        assert client.classify(b"2")[0].label == "cat"


@pytest.mark.parametrize("status", ["503 Service Unavailable", "429 Too Many Requests"])
@pytest.mark.parametrize("retry", ["Retry-After: 0", "Retry-After: soon", "X: y"])
def test_a_busy_service_is_asked_again(peer, status, retry):
    service = peer(http(BUSY, status, retry), http(BUSY, status, retry), GOOD)

    with Client(service.url) as client:
        (answer,) = client.classify(b"one")

    assert answer.label == "cat"
    assert len(service.requests) == 3


def test_a_service_that_stays_busy_is_asked_five_times(peer):
    service = peer(*[http(BUSY, "503 Service Unavailable", "Retry-After: 0")] * 9)

    with Client(service.url) as client:
        (answer,) = client.classify(b"one")

    assert isinstance(answer, Problem)
    assert answer.code == "overloaded"
    assert len(service.requests) == 5


@pytest.mark.parametrize("seconds", ["61", "3600", "9" * 400])
def test_a_service_that_is_busy_for_more_than_a_minute_is_not_asked_again(peer, seconds):
    service = peer(http(BUSY, "429 Too Many Requests", f"Retry-After: {seconds}"), GOOD)

    with Client(service.url) as client:
        (answer,) = client.classify(b"one")

    assert isinstance(answer, Problem)
    assert len(service.requests) == 1


@pytest.mark.parametrize(
    "answer",
    [
        http(b"<html>It works!</html>"),
        http(b""),
        http(b"\xff\xfe"),
        http(b"[" * 100_000),
        http([]),
        http({"predictions": []}),
        http({"predictions": [PREDICTION, PREDICTION]}),
        http({"predictions": [PREDICTION | {"probability": "high"}]}),
        http({"detail": "Not Found"}, "404 Not Found"),
        http(b"Bad gateway", "502 Bad Gateway"),
        http(b"", "204 No Content"),
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nmany\r\nConnection: close",
        http(GOOD, "200 OK", "Connection: close").replace(b"Content-Length: ", b"Content-Length: 9"),
    ],
)
def test_a_foreign_answer_is_a_bad_answer(peer, answer):
    with Client(peer(answer).url) as client, pytest.raises(BadAnswerError, match=NOT_THIS_SERVICE):
        client.classify(b"one")


def test_an_endless_answer_is_cut_off(peer, monkeypatch):
    monkeypatch.setattr(connection, "MAX_RESPONSE_BYTES", 100_000)
    endless = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + b"x" * 200_000

    with Client(peer(endless).url) as client, pytest.raises(BadAnswerError, match="more than 100,000 bytes"):
        client.classify(b"one")


def test_an_answer_that_stops_midway_times_out(peer):
    with Client(peer(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{").url, timeout=0.3) as client:  # noqa: SIM117
        with pytest.raises(NoAnswerError, match="timed out"):
            client.classify(b"one")


def test_an_answer_in_many_small_pieces_times_out_as_a_whole(peer, monkeypatch):
    monkeypatch.setattr(connection, "READ_BYTES", 1)  # as if each came by itself

    with Client(peer(http(b"x" * 1_000_000)).url, timeout=0.2) as client, pytest.raises(NoAnswerError, match=r"0\.2 s"):
        client.classify(b"one")


def test_when_nothing_listens_the_message_says_so():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"

    with Client(url) as client, pytest.raises(NoAnswerError, match="Is the service running there"):
        client.classify(b"one")


def test_a_connection_closed_before_any_answer_is_not_an_answer(peer):
    with Client(peer(None, None).url) as client, pytest.raises(NoAnswerError):
        client.classify(b"one")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:8000",
        "ftp://thimble",
        "http://",
        "http://a:b@thimble",
        "http://thimble:99999",
        "http://[x",
        "http://a..b",
    ],
)
def test_an_invalid_url_is_refused_before_anything_is_sent(url, capsys):
    with pytest.raises(ValueError, match=r".+"):
        Client(url)
    with pytest.raises(SystemExit) as ended:
        main(["--url", url, "cat.jpg"])

    assert ended.value.code == 2
    assert "--url or $THIMBLE_URL: " in capsys.readouterr().err


def test_an_https_url_is_asked_with_tls(peer):
    service = peer(b"no TLS")

    with (
        Client(service.url.replace("http:", "https:")) as client,
        pytest.raises(NoAnswerError, match=r"cannot be asked over TLS: .+ Use http:// if the service has no TLS"),
    ):
        client.classify(b"one")

    assert service.requests[0][:1] == b"\x16"  # the first byte of TLS


def test_the_command_exits_with_3_when_something_else_answers(peer, tmp_path, capsys):
    image = tmp_path / "cat.jpg"
    image.write_bytes(b"one")

    assert main(["--url", peer(http(b"\x1b[31mhello")).url, str(image)]) == 3

    complaint = capsys.readouterr().err
    assert "which is not an answer of this service" in complaint
    assert "\x1b" not in complaint


def test_control_characters_of_a_server_or_a_file_name_do_not_reach_the_terminal(peer, tmp_path, capsys):
    image = tmp_path / "\x1b]0;cat\n\udcff.jpg"
    image.write_bytes(b"one")
    hostile = PREDICTION | {"set": ["cat\x1b[2J", "dog"], "novel": True}

    assert main(["--url", peer(http({"predictions": [hostile]})).url, str(image)]) == 0

    printed = capsys.readouterr().out
    assert printed.endswith(
        r"\x1b]0;cat\n\udcff.jpg: cat 91.3% (cat\x1b[2J, dog) cifar-net; unlike anything it was trained on" + "\n"
    )


@pytest.mark.parametrize("form", ["--csv", "--json"])
def test_control_characters_of_a_label_do_not_reach_the_terminal_in_any_form(peer, tmp_path, capsys, form):
    (tmp_path / "cat.jpg").write_bytes(b"one")
    hostile = PREDICTION | {"label": "cat\x1b[2J\x9b\u202e", "set": ["cat\x1b[2J"]}

    assert main([form, "--url", peer(http({"predictions": [hostile]})).url, str(tmp_path / "cat.jpg")]) == 0

    assert all(line.isprintable() for line in capsys.readouterr().out.splitlines())


def test_json_has_the_name_of_each_file_as_it_is(peer, tmp_path, capsys):
    name = str(tmp_path / "Shot 10.00\u202fAM \n\t\x1b\x9b \U000e0001 größe.jpg")
    Path(name).write_bytes(b"one")

    assert main(["--json", "--url", peer(GOOD).url, name]) == 0

    assert json.loads(capsys.readouterr().out)["file"] == name


def test_a_space_of_any_width_stays_in_a_name(peer, tmp_path, capsys):
    name = str(tmp_path / "Screenshot 10.00.00\u202fAM.png")
    Path(name).write_bytes(b"one")

    assert main(["--url", peer(GOOD).url, name]) == 0

    assert capsys.readouterr().out.startswith(f"{name}: cat")


def test_an_endless_file_is_read_to_the_limit_only(monkeypatch, capsys):
    monkeypatch.setattr("serving.client.files.MAX_FILE_BYTES", 1000)

    assert main(["/dev/zero"]) == 1

    assert "/dev/zero: The file cannot be read: it has more than 1,000 bytes" in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["--timeout", "--seconds"])  # the older name goes on working
@pytest.mark.parametrize("timeout", ["0", "-1", "nan", "4000"])
def test_an_invalid_timeout_is_refused(flag, timeout, capsys):
    with pytest.raises(SystemExit) as ended:
        main([flag, timeout, "cat.jpg"])

    assert ended.value.code == 2
    assert f"--timeout {float(timeout):g} is not between 0 and 3600 seconds" in capsys.readouterr().err


def test_help_names_a_url_with_an_escaped_blank(monkeypatch, capsys):
    monkeypatch.setenv("THIMBLE_URL", "http://127.0.0.1:8000/my%20models")

    with pytest.raises(SystemExit, match="0"):
        main(["--help"])

    assert "http://127.0.0.1:8000/my%20models" in capsys.readouterr().out


def test_help_says_what_each_exit_status_means():
    done = subprocess.run(
        [sys.executable, "-m", "serving.client", "--help"], capture_output=True, text=True, timeout=60
    )

    assert all(
        flag in done.stdout for flag in ("--url", "--top-k", "--coverage", "--json", "--csv", "--output", "THIMBLE_URL")
    )
    assert "exit status: 0 all images are answered" in done.stdout


def run_in_folder(peer, tmp_path, *options, answers=(GOOD,)):
    """Run the command over a folder with an image for each answer, and notes; returns the exit status."""
    folder = tmp_path / "pictures"
    folder.mkdir(exist_ok=True)
    for number in range(len(answers)):
        (folder / f"{number}.HEIC").write_bytes(b"one")
    (folder / "notes.txt").write_bytes(b"hello")
    return main(["--url", peer(*answers).url, *options, str(folder)])


def test_what_a_folder_has_beside_images_is_named_and_heic_is_an_image(peer, tmp_path, capsys):
    assert run_in_folder(peer, tmp_path) == 0

    printed = capsys.readouterr()
    assert printed.out.endswith("0.HEIC: cat 91.3% (cat, dog) cifar-net\n")
    assert "notes.txt: skipped, its name is not that of an image; name it to send it" in printed.err
    assert printed.err.count("skipped") == 1


def test_ten_of_many_files_beside_images_are_named_and_the_rest_is_counted(peer, tmp_path, capsys):
    (tmp_path / "pictures").mkdir()
    for number in range(1_200):
        (tmp_path / "pictures" / f"{number}.json").write_bytes(b"{}")

    assert run_in_folder(peer, tmp_path) == 0

    told = capsys.readouterr().err.splitlines()
    assert len(told) == 11
    assert told[-1] == "1,191 more: skipped, its name is not that of an image"


def test_hidden_files_of_a_folder_and_what_systems_add_are_named_and_not_sent(peer, tmp_path, capsys):
    for name in ("._0.HEIC", ".thumbnails/1.jpg", "__MACOSX/._0.HEIC", "@eaDir/0.HEIC/small.jpg", "$RECYCLE.BIN/2.jpg"):
        (tmp_path / "pictures" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "pictures" / name).write_bytes(b"one")

    assert run_in_folder(peer, tmp_path) == 0

    told = [line for line in capsys.readouterr().err.splitlines() if "hidden, or a system added it" in line]
    names = [Path(line.partition(": skipped")[0]).name for line in told]
    assert names == ["$RECYCLE.BIN", "._0.HEIC", ".thumbnails", "@eaDir", "__MACOSX"]


def test_top_k_lists_that_many_labels_in_the_line_of_a_picture(peer, tmp_path, capsys):
    top = [{"label": "cat", "index": 3, "probability": 0.913}, {"label": "dog", "index": 5, "probability": 0.05}]

    run_in_folder(peer, tmp_path, "--top-k", "2", answers=[http({"predictions": [PREDICTION | {"top": top}]})])

    assert capsys.readouterr().out.endswith("0.HEIC: cat 91.3%, dog 5.0% (cat, dog) cifar-net\n")


def test_csv_has_a_row_for_each_picture_and_each_problem(peer, tmp_path):
    refused = http(BUSY | {"status": 422, "code": "unreadable-image"}, "422 Unprocessable Content")
    novel = http({"predictions": [PREDICTION | {"novel": True, "novelty": 0.7, "coverage": None}]})
    output = tmp_path / "answers.csv"

    status = run_in_folder(peer, tmp_path, "--csv", "--output", str(output), answers=[GOOD, novel, refused])

    rows = list(csv.DictReader(output.read_text().splitlines()))
    assert status == 1
    assert [row["file"].rpartition("/")[2] for row in rows] == ["0.HEIC", "1.HEIC", "2.HEIC"]
    assert [row["label"] for row in rows] == ["cat", "cat", ""]
    assert (rows[0]["set"], rows[0]["probability"], rows[0]["coverage"]) == ("cat | dog", "0.913", "0.95")
    assert [row["novel"] for row in rows] == ["", "true", ""]
    assert rows[2]["error"] == "Too much: Later."


def test_the_page_and_the_command_write_the_same_columns():
    page = (Path(pages.STATIC) / "table_file.js").read_text()

    assert re.search(r"const COLUMNS = \[(.*)\]", page)[1] == ", ".join(f'"{name}"' for name in COLUMNS)


@pytest.mark.parametrize("name", ["=cmd.png", "+1.png", "-1.png", "@x.png"])
def test_a_name_that_a_spreadsheet_would_run_is_quoted(name):
    file = io.StringIO()

    csv_writer(file)(name, Problem("about:blank", "No", 0, "no", "no"))

    assert file.getvalue().splitlines()[1].startswith(f"'{name},")


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_output_names_a_file_to_write_to(peer, tmp_path, capsys, form):
    output = tmp_path / "answers"

    run_in_folder(peer, tmp_path, *form, "--output", str(output))

    assert "cat" in output.read_text()
    assert capsys.readouterr().out == ""


def test_an_output_that_cannot_be_written_is_refused_before_anything_is_sent(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--output", str(tmp_path / "nowhere" / "answers.csv"), "cat.jpg"])

    assert ended.value.code == 2
    assert "it cannot be written (No such file or directory); name another file" in capsys.readouterr().err


def test_an_output_that_would_replace_a_picture_is_refused(tmp_path, capsys):
    picture = tmp_path / "cat.JPG"
    picture.write_bytes(b"one")

    with pytest.raises(SystemExit) as ended:
        main(["--csv", "--output", str(picture), "dog.jpg"])

    assert ended.value.code == 2
    assert "its name is that of an image, which would be lost; name another file" in capsys.readouterr().err
    assert picture.read_bytes() == b"one"


@pytest.mark.parametrize(
    ("code", "status", "advice"),
    [
        ("bad-request", "400 B", ""),
        ("not-found", "404 N", " Check --url: it is the address of the service's page, without /classify."),
        ("method-not-allowed", "405 M", " Check --url: it is the address of the service's page, without /classify."),
    ],
)
def test_what_is_wrong_with_the_command_is_said_once_and_is_exit_status_2(peer, tmp_path, capsys, code, status, advice):
    (tmp_path / "cat.jpg").write_bytes(b"one")
    service = peer(http(BUSY | {"code": code, "detail": "top_k='0' is not a whole number of at least 1."}, status))

    assert main(["--url", service.url, "--top-k", "0", *[str(tmp_path / "cat.jpg")] * 2]) == 2

    assert capsys.readouterr().err == f"top_k='0' is not a whole number of at least 1.{advice}\n"
    assert len(service.requests) == 1
