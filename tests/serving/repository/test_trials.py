"""A process of its own loads a file first: one that takes too much time or memory, or crashes, harms nobody."""

import sys
import time
from pathlib import Path

import numpy as np
import pytest
from graphs import constant, endless_loop, large_constant
from onnx import TensorProto, helper

from serving.app import create_app
from serving.repository import trials
from serving.repository.shared_lines import SharedLines
from serving.repository.trials import Trials
from serving.settings import Settings

CRASH = ("-c", "import os; os.abort()")


def gigabyte(model):
    large_constant(model, 2**30)


def deep_gigabyte(model):
    """Have a gigabyte computed from an output of the graph, so that no limit on constants is met."""
    size = constant(model, "sizes", [2**28, 1])
    model.graph.node.append(helper.make_node("ReduceSum", ["image_float"], ["sum"], keepdims=0))
    model.graph.node.append(helper.make_node("Expand", ["sum", size], ["expanded"]))
    first = helper.make_node("Cast", ["image"], ["image_float"], to=1)
    model.graph.node.insert(0, first)
    model.graph.output.append(helper.make_tensor_value_info("expanded", 1, [2**28, 1]))


def slow_constant(model):
    """Let loading multiply matrices for some seconds; larger ones take longer before their products fill the memory."""
    constant(model, "product0", np.zeros((2000, 2000), np.float32))
    for n in range(100):
        model.graph.node.append(helper.make_node("MatMul", [f"product{n}", "product0"], [f"product{n + 1}"]))
    model.graph.output.append(helper.make_tensor_value_info("product100", TensorProto.FLOAT, [2000, 2000]))


@pytest.fixture(autouse=True)
def _nothing_tried(monkeypatch):
    """Have this process as it starts."""
    monkeypatch.setattr(trials, "passed", set())


@pytest.fixture
def lines(tmp_path):
    """Return a maker of the lines that workers share, as one of them sees them."""
    return lambda: SharedLines(tmp_path / "verdicts")


@pytest.mark.parametrize("name", ["fashion-mlp", "cifar-cnn"])
def test_a_sound_file_passes(models, name):
    assert Trials().fault((models / name / "2" / "model.onnx").read_bytes(), "digest") is None


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited on Linux")
@pytest.mark.parametrize("edit", [gigabyte, deep_gigabyte])
def test_a_small_file_that_takes_a_gigabyte_is_refused(forge, edit):
    graph = forge(edit=edit).read_bytes()

    assert len(graph) < 600_000
    assert "onnxruntime cannot load it with 282 MB of memory: " in Trials().fault(graph, "digest")


def test_a_reason_is_short_whatever_it_quotes(forge):
    graph = forge(fit="garment" * 10_000).read_bytes()

    fault = Trials().fault(graph, "digest")

    assert fault.startswith("the card is not valid: Invalid enum value 'garmentgarment")
    assert len(fault) == 2_000


@pytest.mark.parametrize("edit", [endless_loop, slow_constant])
def test_a_graph_that_takes_too_long_is_ended(forge, edit):
    graph = forge(edit=edit).read_bytes()

    assert "takes more than 1 s; use a smaller network" in Trials(seconds=1.0).fault(graph, "digest")


def test_a_file_that_crashes_onnxruntime_ends_only_the_process_that_tries_it(monkeypatch):
    monkeypatch.setattr(trials, "ARGUMENTS", CRASH)

    assert Trials().fault(bytes(1 << 20), "digest") == "the process that loaded it crashed; export it again"


def test_what_is_no_model_file_is_refused_with_the_reason():
    assert Trials().fault(b"\x3b\x3c", "digest").startswith("it is not an ONNX file")


def test_workers_try_a_file_once(models, lines, monkeypatch):
    graph = (models / "fashion-mlp" / "2" / "model.onnx").read_bytes()
    assert Trials(lines()).fault(graph, "good") is None
    assert "not an ONNX file" in Trials(lines()).fault(b"\x3b\x3c", "bad")

    monkeypatch.setattr(trials, "ARGUMENTS", CRASH)
    monkeypatch.setattr(trials, "passed", set())

    assert Trials(lines()).fault(graph, "good") is None
    assert "not an ONNX file" in Trials(lines()).fault(b"\x3b\x3c", "bad")
    assert "crashed" in Trials(lines()).fault(graph, "another")


def test_a_refusal_is_forgotten_so_that_the_file_can_be_tried_again(models, lines, monkeypatch):
    assert "not an ONNX file" in Trials(lines()).fault(b"\x3b\x3c", "digest")

    monkeypatch.setattr(trials, "REFUSAL_SECONDS", 0)

    assert Trials(lines()).fault((models / "fashion-mlp" / "2" / "model.onnx").read_bytes(), "digest") is None


def test_a_clock_that_is_set_back_does_not_make_a_refusal_last(models, lines, monkeypatch):
    assert "not an ONNX file" in Trials(lines()).fault(b"\x3b\x3c", "digest")

    monkeypatch.setattr(trials, "REFUSAL_SECONDS", 0)
    monkeypatch.setattr(trials, "time", lambda: time.time() - 86_400, raising=False)

    assert Trials(lines()).fault((models / "fashion-mlp" / "2" / "model.onnx").read_bytes(), "digest") is None


def test_a_line_that_was_cut_off_is_ignored(models, lines, tmp_path):
    (tmp_path / "verdicts").write_text('["digest",nu')

    assert Trials(lines()).fault(b"\x3b\x3c", "digest") is not None
    assert "not an ONNX file" in Trials(lines()).fault(b"", "digest")


def test_a_process_tries_a_file_once(models, monkeypatch):
    graph = (models / "fashion-mlp" / "2" / "model.onnx").read_bytes()
    assert Trials().fault(graph, "good") is None

    monkeypatch.setattr(trials, "ARGUMENTS", CRASH)

    assert Trials().fault(graph, "good") is None


def test_no_file_stays_open(models):
    graph = (models / "fashion-mlp" / "2" / "model.onnx").read_bytes()
    before = len([*Path("/dev/fd").iterdir()])

    Trials().fault(graph, "digest")

    assert len([*Path("/dev/fd").iterdir()]) == before


def test_a_process_that_cannot_be_started_refuses_the_file_here_alone(models, lines, monkeypatch):
    graph = (models / "fashion-mlp" / "2" / "model.onnx").read_bytes()
    before = len([*Path("/dev/fd").iterdir()])

    with monkeypatch.context() as patched:
        patched.setattr(sys, "executable", "/nonexistent")
        fault = Trials(lines()).fault(graph, "digest")

    assert fault == "no process can be started to try it: No such file or directory; load it again a little later"
    assert len([*Path("/dev/fd").iterdir()]) == before
    assert Trials(lines()).fault(graph, "digest") is None


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited on Linux")
def test_the_service_answers_while_a_file_is_refused_for_its_memory(forge, folder):
    forge("garments/1")
    forge("large/1", edit=gigabyte)
    client = create_app(Settings(models=str(folder))).test_client()

    garments, large = client.get("/models").json["models"]

    assert garments["state"] == "ready"
    assert "large/1/model.onnx: onnxruntime cannot load it with 282 MB of memory" in large["reason"]
