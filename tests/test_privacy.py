"""onnxruntime's telemetry is off: it leaves no device id."""

import subprocess
import sys
from pathlib import Path

import pytest
from unmeasured import unmeasured

ROOT = Path(__file__).parent.parent
SERVE = (
    "import pathlib, serving.model.classifier as classifier; "
    "classifier.Classifier.open(pathlib.Path('models/fashion-mlp/2/model.onnx'))"
)
TRAIN = (
    "import numpy, onnx, training.graph.onnx_export as export; "
    "export.run(onnx.load('models/fashion-mlp/2/model.onnx'), numpy.zeros((1, 28, 28, 1), numpy.uint8))"
)


@pytest.mark.parametrize(
    "program", [pytest.param(SERVE, id="serving"), pytest.param(TRAIN, id="training", marks=pytest.mark.trains)]
)
def test_running_a_graph_writes_no_device_id_into_the_home_folder(tmp_path, program):
    environment = {name: value for name, value in unmeasured().items() if not name.startswith(("ORT_", "XDG_", "CI"))}

    subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=environment | {"HOME": str(tmp_path)},
        check=True,
    )

    assert [str(path) for path in tmp_path.rglob("*") if path.is_file()] == []
