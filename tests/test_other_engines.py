"""The committed models give the same answers in other engines, and Triton can read their configuration."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import tritonclient
from google.protobuf import json_format, text_format
from msgspec import UNSET
from onnx.reference import ReferenceEvaluator
from PIL import Image

from serving.model.card import NOVELTY, PROBABILITIES
from serving.model.classifier import Classifier

sys.modules.setdefault("openvino_telemetry", None)  # it would report each import of OpenVINO
import openvino  # noqa: E402

TOLERANCE = 1e-4
CLEAR = 0.1  # in probability, between the two most probable labels of an int8 graph
MEAN_TOLERANCE = 0.01  # of an int8 graph's probabilities
IMAGES = 40
# The reference evaluator, in plain numpy, takes a fifth of a second for an image of a float32 network.
REFERENCE_IMAGES = {"fashion-mlp": IMAGES, "cifar-cnn": 8, "fashion-net": 8, "cifar-net": 20, "router": 8}
SLOW = ("fashion-net", "cifar-net")
TYPES = {"UINT8": onnx.TensorProto.UINT8, "FP32": onnx.TensorProto.FLOAT}


@pytest.fixture(scope="module", params=REFERENCE_IMAGES)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def file(all_models, name):
    return next((all_models / name).glob("*/model.onnx"))


@pytest.fixture(scope="module")
def pixels(file):
    """Return images for the model, smooth ones and noise in turn."""
    classifier = Classifier.open(file)
    height, width, channels = classifier.height, classifier.width, classifier.channels
    noise = np.random.default_rng(11).integers(0, 256, (IMAGES, height, width, channels), np.uint8)
    for image in noise[::2]:
        coarse = Image.fromarray(image[:5, :5].squeeze())
        image[:] = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)).reshape(image.shape)
    return noise


@pytest.fixture(scope="module")
def expected(file, pixels):
    return Classifier.open(file).run(pixels)


def outputs_of(expected):
    """Return the names of the outputs that a graph has."""
    return [PROBABILITIES] if expected.novelty is None else [PROBABILITIES, NOVELTY]


def assert_the_same(answers, expected, file):
    """Compare float32 outputs by value; int8 ones by label, since a value at the edge of a step may fall to either."""
    if Classifier.open(file).card.training.quantization is UNSET:
        assert all(np.abs(answer - values).max() <= TOLERANCE for answer, values in zip(answers, expected, strict=True))
    else:
        second, first = np.sort(expected[0], axis=1)[:, -2:].T
        clear = first - second > CLEAR
        assert clear.any()
        assert np.abs(answers[0] - expected[0]).mean() <= MEAN_TOLERANCE
        assert np.array_equal(answers[0].argmax(1)[clear], expected[0].argmax(1)[clear])


@pytest.fixture(scope="module")
def schema():
    """Return Triton's own schema of model configurations, loaded by itself: the package around it needs gRPC."""
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
    exact = {"INFERENCE_PRECISION_HINT": "f32"}  # otherwise it uses bfloat16 where the processor has that

    answers = core.compile_model(core.read_model(file), "CPU", exact)({"image": pixels})

    assert_the_same([answers[output] for output in outputs_of(expected)], expected, file)


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.trains) if name in SLOW else name for name in REFERENCE_IMAGES],
    indirect=True,
)
def test_the_reference_evaluator_gives_the_same_answers(file, name, pixels, expected):
    count = REFERENCE_IMAGES[name]

    answers = ReferenceEvaluator(onnx.load(file)).run(outputs_of(expected), {"image": pixels[:count]})

    assert_the_same(answers, [values[:count] for values in expected if values is not None], file)


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


def test_the_configuration_names_the_labels_file(configuration, all_models, name, file):
    (named,) = {output.label_filename for output in configuration.output} - {""}

    labels = (all_models / name / named).read_text().splitlines()

    assert configuration.output[0].label_filename == named
    assert labels == Classifier.open(file).card.labels
    assert len(labels) == configuration.output[0].dims[0]


@pytest.mark.parametrize("name", ["fashion-mlp", "cifar-cnn"])
def test_the_service_gives_the_same_configuration_as_the_file(client, configuration, schema, name):
    answer = client.get(f"/v2/models/{name}/config").json

    served = json_format.ParseDict(answer, schema.ModelConfig())

    assert list(served.input) == list(configuration.input)
    assert list(served.output) == list(configuration.output)
    assert (served.name, served.backend) == (configuration.name, configuration.backend)
    assert served.version_policy == configuration.version_policy
