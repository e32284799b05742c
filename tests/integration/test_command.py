"""The client, as a command and as a library, against a running service."""

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from PIL import Image

from serving.client import Client, Prediction, Problem

IMAGES = Path(__file__).parent.parent / "images"
COMMAND = (sys.executable, "-m", "serving.client")


@pytest.fixture
def run(server):
    """Return a runner of the command against the service."""

    def start(*arguments, **given):
        options = {"env": os.environ | {"THIMBLE_URL": server.url}, "capture_output": True, "timeout": 60} | given
        return subprocess.run([*COMMAND, *map(str, arguments)], check=False, text=True, **options)

    return start


def answers(done):
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_each_file_gets_a_line(run):
    done = run(IMAGES / "bag.png", IMAGES / "trouser.png")

    assert (done.returncode, done.stderr) == (0, "")
    bag, trouser = done.stdout.splitlines()
    assert bag.startswith(f"{IMAGES / 'bag.png'}: Bag 99.7% (Bag) fashion-mlp")
    assert trouser.startswith(f"{IMAGES / 'trouser.png'}: Trouser ")


def test_json_has_the_whole_answer_of_each_file(run):
    done = run(IMAGES / "pullover.png", "--json", "--model", "fashion-mlp:2", "--top-k", "3", "--coverage", "0.99")

    (answer,) = answers(done)
    assert done.returncode == 0
    assert answer["file"] == str(IMAGES / "pullover.png")
    assert answer["prediction"]["label"] == "Pullover"
    assert answer["prediction"]["coverage"] == 0.99
    assert len(answer["prediction"]["top"]) == 3


def test_bad_files_are_reported_and_the_rest_is_answered(run, tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "empty.png").touch()

    done = run(tmp_path / "notes.txt", tmp_path / "empty.png", tmp_path / "none.png", IMAGES / "bag.png")

    assert done.returncode == 1
    refused, empty, missing = done.stderr.splitlines()
    assert "notes.txt: The image cannot be read: The 5 bytes are not a complete image" in refused
    assert "empty.png: The file cannot be read: the file is empty" in empty
    assert "none.png: The file cannot be read: No such file or directory" in missing
    assert "bag.png: Bag" in done.stdout


def test_errors_are_json_too(run, tmp_path):
    (tmp_path / "notes.txt").write_text("hello")

    done = run("--json", tmp_path / "notes.txt", tmp_path / "none.png")

    assert [answer["error"]["code"] for answer in answers(done)] == ["unreadable-image", "unreadable-file"]
    assert (done.returncode, done.stderr) == (1, "")


def test_a_folder_means_the_images_in_it(run, tmp_path):
    (tmp_path / "deep").mkdir()
    shutil.copy(IMAGES / "bag.png", tmp_path / "b.PNG")
    shutil.copy(IMAGES / "sandal.png", tmp_path / "deep" / "a.png")
    (tmp_path / "notes.txt").write_text("hello")

    done = run("--json", tmp_path)

    assert [(answer["file"], answer["prediction"]["label"]) for answer in answers(done)] == [
        (str(tmp_path / "b.PNG"), "Bag"),
        (str(tmp_path / "deep" / "a.png"), "Sandal"),
    ]


def test_a_folder_without_images_is_reported(run, tmp_path):
    done = run(tmp_path)

    assert done.returncode == 1
    assert "there is no image in this folder" in done.stderr


def test_names_that_are_no_files_are_reported_and_the_rest_is_answered(run, tmp_path):
    folder = tmp_path / "pictures"
    (folder / "deep").mkdir(parents=True)
    shutil.copy(IMAGES / "bag.png", folder)
    (folder / "gone.png").symlink_to(tmp_path / "nowhere")
    (folder / "link").symlink_to(folder / "deep")
    (folder / "long.png").symlink_to("x" * 300)  # to look where it leads fails, as in a folder that may not be entered
    os.mkfifo(folder / "pipe.png")

    done = run("x" * 300, folder)

    assert done.returncode == 1
    assert done.stdout.startswith(f"{folder / 'bag.png'}: Bag ")
    assert done.stderr.replace(f"{folder}/", "").splitlines() == [
        "link: skipped, it is a link to a folder; name it to send it",
        "pipe.png: skipped, it is not a file; name it to send it",
        f"{'x' * 300}: The file cannot be read: File name too long",
        "gone.png: The file cannot be read: No such file or directory",
        "long.png: The file cannot be read: File name too long",
    ]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_locked_folders_are_reported_and_the_rest_is_answered(run, tmp_path):
    locked = tmp_path / "pictures" / "locked"
    locked.mkdir(parents=True)
    for folder in (locked, locked.parent):
        shutil.copy(IMAGES / "bag.png", folder)
    locked.chmod(0)

    done = run(locked / "bag.png", locked.parent)
    locked.chmod(0o755)

    assert done.returncode == 1
    assert done.stdout.startswith(f"{locked.parent / 'bag.png'}: Bag ")
    assert done.stderr.splitlines() == [
        f"{locked / 'bag.png'}: The file cannot be read: Permission denied",
        f"{locked}: The file cannot be read: Permission denied",
    ]


@pytest.mark.parametrize("form", [[], ["--csv"], ["--json"]])
def test_a_full_disk_ends_it_in_a_line(run, form):
    with Path("/dev/full").open("w") as full:
        to_standard_output = run(*form, IMAGES / "bag.png", capture_output=False, stdout=full, stderr=subprocess.PIPE)
    to_file = run(*form, "--output", "/dev/full", IMAGES / "bag.png")

    assert [to_standard_output.returncode, to_file.returncode] == [1, 1]
    assert {to_standard_output.stderr, to_file.stderr} == {"the answers cannot be written: No space left on device\n"}


def test_any_terminal_shows_any_name(run, server, tmp_path):
    picture = shutil.copy(IMAGES / "bag.png", tmp_path / "größe.png")
    plain = {"env": os.environ | {"THIMBLE_URL": server.url, "PYTHONIOENCODING": "ascii"}}

    assert r"gr\xf6\xdfe.png: Bag " in run(picture, **plain).stdout
    assert answers(run("--json", picture, **plain))[0]["file"] == str(picture)


def test_a_dash_is_standard_input(run):
    with (IMAGES / "bag.png").open("rb") as image:
        done = run("-", stdin=image)

    assert done.stdout.startswith("-: Bag ")


def test_an_image_unlike_the_training_data_is_called_so(run, tmp_path):
    noise = Image.effect_noise((28, 28), 100)
    noise.save(tmp_path / "noise.png")

    assert run(tmp_path / "noise.png").stdout.endswith("; unlike anything it was trained on\n")


def test_an_unknown_model_is_reported_once(run):
    done = run(IMAGES, "--model", "nothing")

    assert done.returncode == 2
    assert done.stderr == "There is no model 'nothing'. Models: cifar-cnn, fashion-mlp.\n"


def test_a_body_over_the_limit_is_refused_and_the_rest_is_answered(strict_server, run, tmp_path):
    (tmp_path / "large.png").write_bytes(os.urandom(20_000_000))

    done = run("--url", strict_server.url, tmp_path / "large.png", IMAGES / "bag.png")

    assert done.returncode == 1
    assert "large.png: The request is too large: The body has more than 100,000 bytes" in done.stderr
    assert "bag.png: Bag" in done.stdout


def test_ctrl_c_ends_without_a_traceback(server):
    environment = os.environ | {"THIMBLE_URL": server.url}
    heed = partial(signal.signal, signal.SIGINT, signal.default_int_handler)  # jobs in the background ignore it
    running = subprocess.Popen([*COMMAND, IMAGES / "bag.png", "-"], env=environment, text=True, preexec_fn=heed,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip
    first = running.stdout.readline()  # now it waits for its standard input

    running.send_signal(signal.SIGINT)

    _, complaints = running.communicate(timeout=30)
    assert "bag.png: Bag" in first
    assert (running.returncode, complaints) == (130, "")


def test_a_closed_pipe_ends_it_without_a_traceback(server):
    command = f"{sys.executable} -m serving.client {' '.join([str(IMAGES)] * 30)} | head -n 1"
    environment = os.environ | {"THIMBLE_URL": server.url}

    done = subprocess.run(["bash", "-c", command], env=environment, capture_output=True, text=True, timeout=60)

    assert len(done.stdout.splitlines()) == 1
    assert done.stderr == ""


def test_progress_is_shown_on_a_terminal_when_the_answers_go_elsewhere(run):
    terminal, end = pty.openpty()

    done = run(IMAGES, capture_output=False, stdout=subprocess.PIPE, stderr=end)

    os.close(end)
    shown = os.read(terminal, 10_000).decode()
    os.close(terminal)
    assert len(done.stdout.splitlines()) == 6
    assert "[###############               ] 3 of 6" in shown
    assert shown.endswith("[##############################] 6 of 6\r\n")
    assert "of 6" not in run(IMAGES).stderr


def test_the_library_gives_a_typed_answer_to_each_path_and_to_bytes(server, image):
    with Client(server.url) as client:
        bag, text = client.classify([IMAGES / "bag.png", b"hello"], top_k=1)
        (again,) = client.classify(image("bag"), top_k=1)
        (by_name,) = client.classify(str(IMAGES / "bag.png"), top_k=1)

    assert isinstance(bag, Prediction)
    assert (bag.label, bag.top[0].label, bag.novel) == ("Bag", "Bag", False)
    assert isinstance(text, Problem)
    assert (text.status, text.code) == (422, "unreadable-image")
    assert bag == again == by_name


def test_a_missing_file_is_an_error_of_the_library(server):
    with Client(server.url) as client, pytest.raises(FileNotFoundError):
        client.classify("none.png")


def test_the_client_loads_no_library_of_the_service():
    program = "import sys, serving.client.__main__; print(*{name.split('.')[0] for name in sys.modules})"

    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)

    service = {"flask", "werkzeug", "gevent", "gunicorn", "onnxruntime", "numpy", "PIL", "prometheus_client"}
    assert service.isdisjoint(loaded.stdout.split())
    assert "msgspec" in loaded.stdout.split()
