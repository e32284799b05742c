"""Long use, hostile uploads and broken surroundings, in short: make soak, make fuzz and make chaos have them whole."""

import json
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from unmeasured import unmeasured

from benchmarks.faults.pictures import pictures
from benchmarks.faults.service import Answer
from benchmarks.faults.soak import same
from serving.imaging.formats import FORMATS

ROOT = Path(__file__).parent.parent.parent
TRIALS = ("worker killed", "SIGTERM", "model folder away", "disk full", "log stalled")


def run(command, *arguments):
    """Return what a command of benchmarks.faults prints; it must find nothing lost."""
    argv = [sys.executable, "-m", f"benchmarks.faults.{command}", *arguments]
    done = subprocess.run(argv, cwd=ROOT, env=unmeasured(), capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.trains
def test_mixed_requests_get_the_answers_that_are_computed_in_process(models):
    # So short a run is over before memory has settled.
    printed = run("soak", "--requests", "300", "--growth", "50", "--models", str(models))

    assert "right 300  wrong 0  without answer 0  workers died 0" in printed


@pytest.mark.trains
def test_hostile_uploads_are_refused_and_no_worker_dies(models):
    printed = run("fuzz", "--files", "150", "--examples", "50", "--models", str(models))

    assert "unexpected answers 0, workers died 0" in printed


@pytest.mark.trains
@pytest.mark.parametrize("trial", TRIALS)
def test_what_breaks_around_the_service_loses_no_request(models, trial):
    printed = run("chaos", "--only", trial, "--seconds", "0.5", "--clients", "4", "--models", str(models))

    assert printed.endswith("lost 0\n")


def test_hostile_uploads_are_of_every_format_that_is_read():
    kinds = {name.partition("-")[0].upper() for name in pictures()}

    assert {"HEIF" if kind == "HEIC" else kind for kind in kinds} >= set(FORMATS)


def test_a_wrong_answer_is_told_from_one_that_is_rounded_otherwise():
    right, rounded, wrong = (
        Answer(200, json.dumps({"top": [{"label": "Bag", "probability": value}]}).encode())
        for value in (0.9, 0.90001, 0.91)
    )

    assert same(rounded, right)
    assert not same(wrong, right)
    assert not same(Answer(503, right.body), right)


def test_tensors_behind_the_json_of_an_answer_are_compared_as_numbers():
    right, rounded, wrong = (
        Answer(200, b'{"outputs":[]}' + struct.pack("<2f", 0.5, value)) for value in (0.9, 0.90001, 0.91)
    )

    assert same(rounded, right)
    assert not same(wrong, right)
