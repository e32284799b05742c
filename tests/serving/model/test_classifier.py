"""A classifier answers as its file says; a file that breaks the contract is refused."""

import base64
import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from cards import without_novelty
from graphs import after_probabilities, constant, large_constant
from msgspec import to_builtins
from onnx import TensorProto, helper, numpy_helper

from serving.imaging.png import to_png
from serving.model.card import GOLDEN_TOLERANCE, ContractError
from serving.model.classifier import MAX_FILE_BYTES, Classifier
from serving.model.runtime import open_session


@pytest.fixture(scope="module", params=["fashion-mlp", "cifar-cnn"])
def path(models, request):
    return models / request.param / "2" / "model.onnx"


@pytest.fixture(scope="module")
def classifier(path):
    return Classifier.open(path)


def noise(classifier, n):
    shape = (n, classifier.height, classifier.width, classifier.channels)
    return np.random.default_rng(5).integers(0, 256, shape, np.uint8)


def without_card(model):
    del model.metadata_props[:]


def broken_card(model):
    helper.set_model_props(model, {"thimble.card": '{"schema": 1,'})


def other_weights(model):
    """Set a bias of the last layer so that one class always wins."""
    bias = next(tensor for tensor in model.graph.initializer if list(tensor.dims) == [10])
    values = numpy_helper.to_array(bias).copy()
    values[0] += 50
    bias.CopyFrom(numpy_helper.from_array(values, bias.name))


def broken_weights(model):
    """Make the answers NaN, which compares with nothing."""
    bias = next(tensor for tensor in model.graph.initializer if list(tensor.dims) == [10])
    bias.CopyFrom(numpy_helper.from_array(np.full(10, np.nan, np.float32), bias.name))


def other_input_name(model):
    model.graph.input[0].name = "pixels"
    for node in model.graph.node:
        node.input[:] = ["pixels" if name == "image" else name for name in node.input]


def float_input(model):
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT


def fixed_batch(model):
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1


def second_input(model):
    model.graph.input.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, ["batch"]))


def other_output_name(model):
    model.graph.output[0].name = "scores"
    for node in model.graph.node:
        node.output[:] = ["scores" if name == "probabilities" else name for name in node.output]


def external_weights(model):
    """Move a weight into a second file beside the graph."""
    weight = model.graph.initializer[0]
    raw = weight.raw_data
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    for key, value in (("location", "weights.bin"), ("offset", "0"), ("length", str(len(raw)))):
        weight.external_data.add(key=key, value=value)


def one_answer_for_a_batch(model):
    ends = [constant(model, name, [value]) for name, value in (("start", 0), ("end", 1), ("axis", 0))]
    after_probabilities(model, helper.make_node("Slice", ["before", *ends], ["probabilities"]))


def first_answer_for_all(model):
    one_answer_for_a_batch(model)
    model.graph.node[-1].output[:] = ["first"]
    model.graph.node.append(helper.make_node("Shape", ["before"], ["size"]))
    model.graph.node.append(helper.make_node("Expand", ["first", "size"], ["probabilities"]))


def large_input(model):
    for dimension, size in zip(model.graph.input[0].type.tensor_type.shape.dim[1:3], (2048, 1024), strict=True):
        dimension.dim_value = size


def huge_constant(model):
    """Add 4 TB to the graph, in a few bytes."""
    large_constant(model, 2**42)


def unknown_operator(model):
    model.graph.node[0].op_type = "Imagine"


def test_the_digest_is_the_sha256_of_the_file(path, classifier):
    assert classifier.digest == f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


def test_the_input_size_is_that_of_the_graph(path, classifier):
    dimensions = onnx.load(path).graph.input[0].type.tensor_type.shape.dim

    size = (classifier.height, classifier.width, classifier.channels)

    assert size == tuple(dimension.dim_value for dimension in dimensions[1:])


def test_there_is_a_probability_for_each_label_and_they_add_up_to_one(classifier):
    probabilities = classifier.classify(noise(classifier, 9))

    assert probabilities.shape == (9, len(classifier.card.labels))
    assert probabilities.dtype == np.float32
    assert (probabilities >= 0).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)


def test_a_batch_gets_the_answers_of_its_images_one_by_one(classifier):
    pixels = noise(classifier, 33)

    together = classifier.classify(pixels)
    alone = np.concatenate([classifier.classify(pixels[i : i + 1]) for i in range(len(pixels))])

    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_the_number_of_threads_does_not_change_the_answers(path, classifier):
    pixels = noise(classifier, 4)

    np.testing.assert_allclose(
        Classifier.open(path, threads=2).classify(pixels), classifier.classify(pixels), atol=1e-5
    )


def test_golden_samples_get_the_answers_in_the_card(classifier):
    pixels = np.stack([golden.pixels() for golden in classifier.card.golden])
    expected = [golden.probabilities for golden in classifier.card.golden]

    np.testing.assert_allclose(classifier.classify(pixels), expected, atol=GOLDEN_TOLERANCE)


def test_a_file_with_another_name_and_title_is_loaded(forge):
    path = forge("renamed/7", title="Another title")

    assert Classifier.open(path).card.name == "renamed"


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (without_card, "no 'thimble.card' in the metadata; export it with python -m training.export"),
        (broken_card, "the card is not valid: Input data was truncated; export it again"),
        (other_weights, r"golden sample 1 differs by [0-9.]+ from .*the limit is 0\.001.*export it again"),
        (broken_weights, "golden sample 1 differs by nan from"),
        (other_input_name, r"the input must be 'image', uint8 .* found pixels tensor\(uint8\) \['batch', 28, 28, 1\]"),
        (
            float_input,
            r"(the input must be 'image', uint8 .* found image tensor\(float\))|(onnxruntime cannot load it)",
        ),
        (fixed_batch, r"the input must be .* with a dynamic batch; found image tensor\(uint8\) \[1, 28, 28, 1\]"),
        (second_input, r"the input must be .* found image tensor\(uint8\) .*, more tensor\(float\)"),
        (other_output_name, r"the output 'probabilities' must be float32 \[batch, 10\], .* found scores"),
        (external_weights, "a tensor's data are in another file; save the model as one file"),
        (one_answer_for_a_batch, r"for a batch of 4 images an output has the shape \(1, 10\), not \(4, 10\)"),
        (first_answer_for_all, "golden sample 2 in a batch of 4 differs by"),
        (large_input, "the input has 2048 x 1024 pixels; the limit is 1,048,576"),
        (unknown_operator, "onnxruntime cannot load it: .*Imagine"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_a_graph_that_breaks_the_contract_is_refused_with_file_and_reason(forge, edit, reason):
    path = forge("bad/1", edit=edit)

    with pytest.raises(ContractError, match=f"(?s)bad/1/model.onnx: ({reason})"):
        Classifier.open(path)


def test_a_reason_is_one_line_that_is_safe_to_show_whatever_it_quotes(forge):
    def hostile(model):
        model.graph.node[0].op_type = "\x1b[2J\nINFO all is well\u202e" + "x" * 10_000

    with pytest.raises(ContractError, match=r"\\x1b\[2J\\nINFO all is well\\u202exxx") as refused:
        Classifier.open(forge("bad/1", edit=hostile))

    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 3_000


def test_external_data_is_not_read_from_the_working_directory(forge, models, monkeypatch):
    path = forge("split/1", edit=external_weights)
    whole = onnx.load(models / "fashion-mlp" / "2" / "model.onnx")
    (path.parent / "weights.bin").write_bytes(whole.graph.initializer[0].raw_data)
    monkeypatch.chdir(path.parent)

    with pytest.raises(ContractError, match="a tensor's data are in another file"):
        Classifier.open(path)


def test_a_huge_constant_is_not_computed_while_loading(forge):
    path = forge("huge/1", edit=huge_constant)

    assert len(open_session(path.read_bytes()).get_outputs()) == 3
    with pytest.raises(ContractError, match="onnxruntime cannot load it"):  # but when the golden samples are run
        Classifier.open(path)


def test_a_file_that_is_too_large_is_not_read(tmp_path):
    path = tmp_path / "model.onnx"
    with path.open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)

    with pytest.raises(ContractError, match=r"536,870,913 bytes; a model file has at most 536,870,912"):
        Classifier.open(path)


def test_an_extra_label_is_refused(forge, models):
    card = Classifier.open(models / "fashion-mlp" / "2" / "model.onnx").card
    golden = [{"image": g.image, "probabilities": [*g.probabilities, 0.0]} for g in card.golden]
    reference = {**to_builtins(card.reference), "labels": [*card.reference.labels, 0.0]}
    conformal = {"coverage": 0.95, "threshold": 0.1, "levels": [{"coverage": 0.95, "threshold": 0.1}]}
    labels = [*card.labels, "Hat"]
    path = forge("eleven/1", labels=labels, golden=golden, reference=reference, conformal=conformal)

    with pytest.raises(
        ContractError, match=r"must be float32 \[batch, 11\], a value for each label; found probabilities .*10\]"
    ):
        Classifier.open(path)


def test_a_golden_sample_of_another_size_is_refused(forge):
    small = base64.b64encode(to_png(np.zeros((5, 6, 1), np.uint8))).decode()
    path = forge("small/1", golden=[{"image": small, "probabilities": [0.1] * 10}] * 3)

    with pytest.raises(ContractError, match=r"golden sample 1 has shape \(5, 6, 1\), not the input's"):
        Classifier.open(path)


def test_the_golden_sample_that_differs_is_named(forge, models):
    card = Classifier.open(models / "fashion-mlp" / "2" / "model.onnx").card
    golden = json.loads(json.dumps([{"image": g.image, "probabilities": g.probabilities} for g in card.golden]))
    golden[2]["probabilities"] = golden[2]["probabilities"][::-1]
    path = forge("tampered/1", golden=golden)

    with pytest.raises(ContractError, match=r"tampered/1/model\.onnx: golden sample 3 differs by"):
        Classifier.open(path)


def test_a_graph_without_a_card_is_refused_with_what_to_do(tmp_path):
    node = helper.make_node("Identity", ["x"], ["y"])
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "y")]
    opset = [helper.make_opsetid("", 20)]
    model = helper.make_model(helper.make_graph([node], "other", ends[:1], ends[1:]), opset_imports=opset, ir_version=9)
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())

    with pytest.raises(ContractError, match=r"model.onnx: no 'thimble.card' in the metadata; export it"):
        Classifier.open(path)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda graph: b"", id="empty"),
        pytest.param(lambda graph: b"hello, this is not a graph", id="text"),
        pytest.param(lambda graph: graph[: len(graph) // 2], id="half"),
        pytest.param(lambda graph: graph[:-1], id="all but a byte"),
        pytest.param(lambda graph: bytes(1000), id="zeros"),
    ],
)
def test_a_damaged_file_is_refused_with_its_name(path, tmp_path, damage):
    copy = tmp_path / "model.onnx"
    copy.write_bytes(damage(path.read_bytes()))

    with pytest.raises(ContractError, match=r"model\.onnx: "):
        Classifier.open(copy)


@pytest.mark.skipif(not Path("/proc/self/pagemap").exists(), reason="Linux has it")
def test_a_link_to_an_endless_file_of_the_kernel_is_not_read(tmp_path):
    (tmp_path / "model.onnx").symlink_to("/proc/self/pagemap")

    with pytest.raises(ContractError, match="No graph was found"):
        Classifier.open(tmp_path / "model.onnx")


def test_a_missing_file_is_refused_with_its_name(tmp_path):
    with pytest.raises(ContractError, match=r"nothing\.onnx: cannot be read: No such file or directory"):
        Classifier.open(tmp_path / "nothing.onnx")


def test_a_card_that_is_not_utf_8_is_refused_with_its_file(path, tmp_path):
    damaged = tmp_path / "model.onnx"
    damaged.write_bytes(path.read_bytes().replace(b'"title"', b'"\xff\xfetle"'))

    with pytest.raises(ContractError, match=r"model\.onnx: .*utf-8"):
        Classifier.open(damaged)


def test_novelty_is_a_number_for_each_image_and_is_checked_on_the_golden_samples(classifier, forge):
    outputs = classifier.run(noise(classifier, 9))

    assert outputs.novelty.shape == (9,)
    assert outputs.novelty.dtype == np.float32
    assert classifier.card.novel(outputs.novelty) == (outputs.novelty > classifier.card.novelty.threshold).tolist()
    golden = [{**to_builtins(sample), "novelty": sample.novelty + 0.01} for sample in classifier.card.golden]
    with pytest.raises(ContractError, match=r"golden sample 1 differs by 0.01 from"):
        Classifier.open(forge("other/1", of=classifier.card.name, golden=golden))


def test_a_graph_may_lack_novelty(forge):
    def without(model):
        without_novelty(model)
        del model.graph.output[1]

    classifier = Classifier.open(forge("plain/1", edit=without))

    outputs = classifier.run(noise(classifier, 2))
    assert outputs.novelty is None
    assert classifier.card.novel(outputs.novelty) is None


def test_a_card_with_novelty_needs_a_graph_with_novelty(forge):
    def without(model):
        del model.graph.output[1]

    with pytest.raises(ContractError, match="the card has novelty, but no output 'novelty' is float32"):
        Classifier.open(forge("plain/1", edit=without))
