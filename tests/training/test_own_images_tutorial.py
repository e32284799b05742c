"""The tutorial on own images is true: its commands are run, in order, on photos that are made here."""

import json
import re
import runpy
import shlex
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import requests
from PIL import Image
from unmeasured import unmeasured

from training import export
from training.sample_sizes import SampleSizes

ROOT = Path(__file__).parents[2]
TUTORIAL = (ROOT / "docs/own-images.md").read_text()
COMMAND = re.compile(r"^```sh\n(.*?)^```|`((?:\.venv/bin/)?python -m [^`]+)`", re.MULTILINE | re.DOTALL)
SKIPPED = {
    "make install": "needs a network",
    "python -m benchmarks.own_images DIR": "takes minutes, and learns from images of its own",
    "python -m benchmarks.latency --compare FILE FILE": "compares two files of the reader's",
}
FEW = SampleSizes(ood_set=20, photos=2, corrupted=0)  # to measure on as many images as usual takes minutes
COLOURS = {"mug": (200, 40, 40), "spoon": (60, 60, 190)}

pytestmark = pytest.mark.trains


def commands():
    for block, inline in COMMAND.findall(TUTORIAL):
        yield from block.splitlines() or [inline]


def photo(label, number):
    """Return a noisy picture with a block in the colour of its label."""
    random = np.random.default_rng([len(label), number])
    pixels = random.integers(90, 170, (96, 128, 3), dtype=np.uint8)
    top, left = random.integers(0, 40, 2)
    pixels[top : top + 50, left : left + 50] = COLOURS[label]
    return Image.fromarray(pixels)


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """Return a folder with a user's photos, in which commands find this project as in a clone of it."""
    (tmp_path / ".venv").symlink_to(sys.prefix)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PATH", f"{sys.prefix}/bin", prepend=":")
    monkeypatch.chdir(tmp_path)
    for label in COLOURS:
        folder = tmp_path / "photos" / label
        folder.mkdir(parents=True)
        for number in range(10):
            photo(label, number).save(folder / f"IMG_{number:04}.jpg")
    photo("mug", 99).save(tmp_path / "IMG_0003.jpg")
    labels = {"mug": "mug", "spoon": "mug;spoon"}
    rows = (f"photos/{label}/IMG_{number:04}.jpg,{labels[label]}\n" for label in COLOURS for number in range(10))
    (tmp_path / "labels.csv").write_text("file,label\n" + "".join(rows))
    return tmp_path


def run_module(name, *arguments):
    """Run a module as python -m does, though it was imported before; return its exit status."""
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        patch.setattr(sys, "argv", [name, *arguments])
        warnings.simplefilter("ignore", RuntimeWarning)
        with pytest.raises(SystemExit) as ended:
            runpy.run_module(name, run_name="__main__")
    return ended.value.code


def run(command, folder):
    """Run a command; return what it prints. What takes seconds to load, and more to export, runs in this process."""
    program, *arguments = shlex.split(command)
    if program.endswith("python") and arguments[:2] == ["-m", "training.export"]:
        assert export.main(arguments[2:], FEW) == 0
        return ""
    if program.endswith("python") and arguments[:2] == ["-m", "training.images"]:
        assert run_module(*arguments[1:]) == 0
        return ""
    done = subprocess.run(
        command, shell=True, cwd=folder, env=unmeasured(), capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_each_command_of_the_tutorial_does_what_it_says(clone, start):
    for command in commands():
        if " -m serving" in command:
            server = start(command=("bash", "-c", f"cd {clone} && exec {command}"))
        elif command.startswith("curl"):
            answer = json.loads(run(command.replace("http://127.0.0.1:8000", server.url), clone))
        elif command not in SKIPPED:
            run(command, clone)
    page = requests.get(server.url, timeout=20).text
    server.stop()

    (prediction,) = answer["predictions"]
    assert (prediction["model"], prediction["version"], prediction["label"]) == ("kitchen", "1", "mug")
    assert '<option value="kitchen">' in page
    assert (clone / "thumbnails.png").exists()
    assert {"model.onnx", "confusion.png"} < {path.name for path in (clone / "own-models/kitchen/1").iterdir()}
    assert not (clone / "models").exists()


def test_the_tutorial_has_the_commands_that_are_skipped():
    assert {*SKIPPED} < {*commands()}
