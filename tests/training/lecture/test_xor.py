import pytest
import torch

from serving.model.runtime import open_session
from training.lecture import xor


def test_the_best_linear_model_of_xor_answers_a_half_to_everything():
    beta, alpha = xor.least_squares(xor.X, xor.Y)

    assert beta.flatten().tolist() == [0, 0]
    assert alpha.tolist() == [0.5]


def test_least_squares_finds_the_line_through_the_points():
    x = torch.tensor([[0.0], [1], [4]], dtype=torch.float64)

    beta, alpha = xor.least_squares(x, 3 * x - 2)

    assert float(beta) == pytest.approx(3)
    assert float(alpha) == pytest.approx(-2)


def test_each_step_is_that_of_the_slides():
    assert {name: matrix.tolist() for name, matrix in xor.steps().items()} == {
        "XW": [[0, 0], [1, 1], [1, 1], [2, 2]],
        "XW + c": [[0, -1], [1, 0], [1, 0], [2, 1]],
        "max{0, XW + c}": [[0, 0], [1, 0], [1, 0], [2, 1]],
        "ŷ": [[0], [1], [1], [0]],
    }


def test_the_network_answers_the_truth_table():
    assert xor.network()(xor.X.float()).flatten().tolist() == [0, 1, 1, 0]


@pytest.mark.trains
def test_the_exported_network_answers_the_truth_table_through_onnxruntime():
    assert xor.run_onnx(xor.to_onnx()).flatten().tolist() == [0, 1, 1, 0]


@pytest.mark.trains
def test_the_exported_network_takes_any_number_of_cases():
    session = open_session(xor.to_onnx().SerializeToString())

    (truth,) = session.run(None, {"propositions": xor.X.float().numpy()[[2]]})

    assert truth.tolist() == [[1]]


@pytest.mark.trains
def test_every_row_of_the_section_agrees_with_the_lecture(lesson):
    assert all(row.agrees for row in xor.section(lesson).rows)
