"""A file that needs another one is refused, wherever in its graph; so is what only looks like an ONNX file."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from serving.model.card import ContractError
from serving.model.external_data import MAX_FIELDS, NESTED, check_self_contained


def external():
    tensor = TensorProto(name="weights", data_type=TensorProto.UINT8, dims=[8], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="pyproject.toml")
    return tensor


def model_of(nodes=(), tensors=(), functions=()):
    graph = helper.make_graph(nodes, "graph", [], [], tensors)
    return helper.make_model(graph, functions=functions)


def branch():
    inner = helper.make_graph([], "inner", [], [], [external()])
    return helper.make_node("If", ["condition"], ["y"], then_branch=inner, else_branch=inner)


def function():
    node = helper.make_node("Constant", [], ["y"], value=external())
    return helper.make_function("own", "Own", [], ["y"], [node], [helper.make_opsetid("", 20)])


def test_the_fields_that_may_hold_tensors_are_those_of_onnx():
    def is_nested(field):
        return field.message_type is not None and field.message_type.name in NESTED

    for name in NESTED:
        fields = getattr(onnx, name).DESCRIPTOR.fields
        assert {f.number: f.message_type.name for f in fields if is_nested(f)} == NESTED[name]
    for name in {"ValueInfoProto", "TypeProto", "TensorAnnotation", "StringStringEntryProto", "OperatorSetIdProto"}:
        assert not any(is_nested(field) for field in getattr(onnx, name).DESCRIPTOR.fields)


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(model_of(tensors=[external()]), id="initializer"),
        pytest.param(model_of([helper.make_node("Constant", [], ["y"], value=external())]), id="attribute"),
        pytest.param(model_of([helper.make_node("Own", [], ["y"], values=[external()])]), id="attribute's list"),
        pytest.param(model_of([branch()]), id="branch"),
        pytest.param(model_of(functions=[function()]), id="function"),
    ],
)
def test_external_data_are_found_everywhere(model):
    with pytest.raises(ContractError, match="a tensor's data are in another file; save the model as one file"):
        check_self_contained(model.SerializeToString())


def test_a_sparse_tensor_is_refused_since_it_may_stand_for_a_large_one():
    indices = numpy_helper.from_array(np.array([0]))
    values = numpy_helper.from_array(np.ones(1, np.float32), "weights")
    model = model_of()
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [2**40]))

    with pytest.raises(ContractError, match="it has a sparse tensor; store it as a dense one"):
        check_self_contained(model.SerializeToString())


def test_a_whole_file_is_accepted(models):
    check_self_contained((models / "cifar-cnn" / "2" / "model.onnx").read_bytes())


@pytest.mark.parametrize(
    "file",
    [
        pytest.param(b"\x3a\x05\x0a", id="a field beyond the end"),
        pytest.param(b"\x3a\x03\x2a\x05\x0a\x08\x01\x08\x01\x08\x01", id="a field beyond its message"),
        pytest.param(b"\x3a", id="no length"),
        pytest.param(b"\xff" * 20, id="an endless number"),
        pytest.param(b"\x3b\x3c", id="a group"),
        pytest.param(b"\x88\x80\x80\x80\x10\x01", id="a field's number of 33 bits"),
    ],
)
def test_what_is_not_whole_protobuf_is_refused(file):
    with pytest.raises(ContractError, match=r"it is not an? (whole )?ONNX file"):
        check_self_contained(file)


def test_a_graph_of_too_many_fields_is_refused():
    graph = b"\x50\x00" * (MAX_FIELDS + 1)
    length = bytes([len(graph) & 0x7F | 0x80, len(graph) >> 7 & 0x7F | 0x80, len(graph) >> 14])

    with pytest.raises(ContractError, match="its graph has more than 500,000 fields"):
        check_self_contained(b"\x3a" + length + graph)
