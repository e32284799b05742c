"""Another ONNX classifier, cut before its last layer."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx_classifiers import FEATURES, MEANS, SIDE, classifier

from serving.model.runtime import open_session
from training.datasets.formats import DataError
from training.graph.onnx_features import OnnxFeatures


@pytest.fixture
def opened(tmp_path):
    """Return an opener of models."""

    def open_model(model: onnx.ModelProto) -> OnnxFeatures:
        file = tmp_path / "other.onnx"
        file.write_bytes(model.SerializeToString())
        return OnnxFeatures.open(file)

    return open_model


def run(model: onnx.ModelProto, output: str, images: np.ndarray) -> np.ndarray:
    """Return an output, or something inside, of a graph."""
    copy = onnx.ModelProto.FromString(model.SerializeToString())
    copy.graph.output.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, None))
    return open_session(copy.SerializeToString()).run([output], {"image": images})[0]


@pytest.mark.parametrize("ending", ["gemm", "matmul", "point"])
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("uint8", [False, True])
@pytest.mark.parametrize("opset", [11, 20])
def test_the_features_are_those_that_its_last_layer_sees(opened, ending, channels_last, uint8, opset):
    model = classifier(ending, channels_last, uint8, opset)
    shape = (3, SIDE, SIDE, 3) if channels_last else (3, 3, SIDE, SIDE)
    images = np.random.default_rng(1).integers(0, 256, shape).astype(np.uint8 if uint8 else np.float32)

    features = opened(model)

    assert (features.channels, features.height, features.width) == (3, SIDE, SIDE)
    assert (features.channels_last, features.takes_bytes, features.count) == (channels_last, uint8, FEATURES)
    cut = open_session(features.graph.SerializeToString()).run(None, {"image": images})[0]
    np.testing.assert_allclose(cut, run(model, MEANS, images), rtol=1e-4, atol=1e-2)


def test_without_a_size_images_of_224_pixels_are_taken(opened):
    model = classifier()
    for size in model.graph.input[0].type.tensor_type.shape.dim[2:]:
        size.dim_param = "any"

    assert opened(model).height == opened(model).width == 224


def two_inputs(model):
    model.graph.input.append(helper.make_tensor_value_info("other", TensorProto.FLOAT, ["n"]))


def a_table(model):
    del model.graph.input[0].type.tensor_type.shape.dim[2:]


def many_channels(model):
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 4


def a_weight_elsewhere(model):
    model.graph.initializer[0].data_location = TensorProto.EXTERNAL


def control_flow(model):
    branch = helper.make_graph([], "branch", [], [helper.make_tensor_value_info("maps", TensorProto.FLOAT, None)])
    model.graph.node[3].CopyFrom(helper.make_node("If", ["floats"], ["maps"], then_branch=branch, else_branch=branch))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (two_inputs, "it has 2 inputs; one is needed"),
        (a_table, "its input is not images"),
        (many_channels, r"its input is \[4, 16, 16\]; 1 or 3 channels"),
        (a_weight_elsewhere, "a tensor's data are in another file"),
        (control_flow, "it has If, which runs other graphs"),
    ],
)
def test_what_is_no_classifier_of_images_is_refused_with_the_reason(opened, spoil, message):
    model = classifier(opset=20)
    spoil(model)

    with pytest.raises(DataError, match=rf"other\.onnx cannot be a backbone: {message}"):
        opened(model)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (classifier("sum"), "it does not end with a layer of weights"),
        (classifier("one image"), "onnxruntime does not run it|its last layer gets 1 rows for 2 images"),
        (classifier(domain="org.other"), "it has operators of org.other"),
    ],
)
def test_a_classifier_that_cannot_be_cut_is_refused_with_the_reason(opened, model, message):
    with pytest.raises(DataError, match=message):
        opened(model)


def test_a_classifier_with_an_operator_of_a_later_opset_is_refused_with_the_reason(opened):
    model = classifier(opset=24)
    (activation,) = [node for node in model.graph.node if node.op_type == "Relu"]
    activation.op_type = "Swish"

    with pytest.raises(DataError, match=r"backbone: it cannot be converted from opset 24 .* of Swish exists\); export"):
        opened(model)


@pytest.mark.parametrize("content", [b"", b"not ONNX", classifier().SerializeToString()[:-20]])
def test_a_damaged_file_is_refused(tmp_path, content):
    (tmp_path / "damaged.onnx").write_bytes(content)

    with pytest.raises(DataError, match=r"damaged\.onnx cannot be a backbone"):
        OnnxFeatures.open(tmp_path / "damaged.onnx")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"missing\.onnx: No such file"):
        OnnxFeatures.open(tmp_path / "missing.onnx")
