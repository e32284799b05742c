"""The committed model folders in other engines: the same answers, and a configuration that Triton reads."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import tritonclient
from google.protobuf import json_format, text_format
from onnx.reference import ReferenceEvaluator
from PIL import Image

from serving.model.classifier import Classifier

sys.modules.setdefault("openvino_telemetry", None)  # which would report each import of OpenVINO to its maker
import openvino  # noqa: E402

TOLERANCE = 1e-4
OUTPUTS = ["probabilities", "novelty"]
# How many images the reference evaluator is asked for: in plain numpy, a large network takes a fifth of a second each.
SLOW = {"fashion-mlp": 200, "cifar-cnn": 60, "fashion-net": 30, "cifar-net": 30}
TYPES = {"UINT8": onnx.TensorProto.UINT8, "FP32": onnx.TensorProto.FLOAT}


@pytest.fixture(scope="module", params=SLOW)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def file(all_models, name):
    return all_models / name / "1" / "model.onnx"


@pytest.fixture(scope="module")
def pixels(file):
    """Return 200 images for the model, every second one smooth and every second one noise."""
    classifier = Classifier.open(file)
    height, width, channels = classifier.height, classifier.width, classifier.channels
    noise = np.random.default_rng(11).integers(0, 256, (200, height, width, channels), np.uint8)
    for image in noise[::2]:
        coarse = Image.fromarray(image[:5, :5].squeeze())
        image[:] = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)).reshape(image.shape)
    return noise


@pytest.fixture(scope="module")
def expected(file, pixels):
    return Classifier.open(file).run(pixels)


@pytest.fixture(scope="module")
def schema():
    """Return Triton's own description of model configurations; by itself, since the package around it wants gRPC."""
    path = Path(tritonclient.__file__).parent / "grpc" / "model_config_pb2.py"
    spec = importlib.util.spec_from_file_location("model_config_pb2", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def configuration(schema, all_models, name):
    """Return config.pbtxt as Triton reads it."""
    return text_format.Parse((all_models / name / "config.pbtxt").read_text(), schema.ModelConfig())


def test_openvino_gives_the_same_answers(file, pixels, expected):
    core = openvino.Core()
    exact = {"INFERENCE_PRECISION_HINT": "f32"}  # else it takes bfloat16 where the processor has that

    answers = core.compile_model(core.read_model(file), "CPU", exact)({"image": pixels})

    for output, wanted in zip(OUTPUTS, expected, strict=True):
        assert np.abs(answers[output] - wanted).max() <= TOLERANCE


def test_the_reference_evaluator_gives_the_same_answers(file, name, pixels, expected):
    count = SLOW[name]

    answers = ReferenceEvaluator(onnx.load(file)).run(OUTPUTS, {"image": pixels[:count]})

    for answered, wanted in zip(answers, expected, strict=True):
        assert np.abs(answered - wanted[:count]).max() <= TOLERANCE


def test_triton_reads_the_configuration_of_this_folder(configuration, name):
    assert configuration.name == name
    assert configuration.backend == "onnxruntime"
    assert configuration.max_batch_size > 0


def test_the_configuration_has_the_tensors_of_the_graph(configuration, schema, file):
    graph = onnx.load(file).graph

    for configured, tensor in zip(
        [*configuration.input, *configuration.output], [*graph.input, *graph.output], strict=True
    ):
        batch, *sizes = tensor.type.tensor_type.shape.dim
        datatype = schema.DataType.Name(configured.data_type).removeprefix("TYPE_")
        dimensions = configured.reshape.shape if configured.HasField("reshape") else configured.dims
        assert configured.name == tensor.name
        assert TYPES[datatype] == tensor.type.tensor_type.elem_type
        assert batch.dim_param
        assert list(dimensions) == [size.dim_value for size in sizes]


def test_the_configuration_names_the_file_of_labels(configuration, all_models, name, file):
    (named,) = {output.label_filename for output in configuration.output} - {""}

    labels = (all_models / name / named).read_text().splitlines()

    assert configuration.output[0].label_filename == named
    assert labels == Classifier.open(file).card.labels
    assert len(labels) == configuration.output[0].dims[0]


@pytest.mark.parametrize("name", ["fashion-mlp", "cifar-cnn"])
def test_the_service_says_of_the_model_what_the_file_says(client, configuration, schema, name):
    answer = client.get(f"/v2/models/{name}/config").json

    served = json_format.ParseDict(answer, schema.ModelConfig())

    assert list(served.input) == list(configuration.input)
    assert list(served.output) == list(configuration.output)
    assert (served.name, served.backend) == (configuration.name, configuration.backend)
    assert served.version_policy == configuration.version_policy
