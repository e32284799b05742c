import pytest
import torch
from torch.nn import functional

from training.lecture import outputs


def test_a_linear_output_with_squared_error_is_least_squares():
    example = outputs.regression()

    layer = example.train_layer()

    design = torch.cat([example.x, torch.ones_like(example.x)], dim=1)
    expected = torch.linalg.lstsq(design, example.y).solution.flatten()
    assert [float(layer.weight), float(layer.bias)] == pytest.approx(expected.tolist(), abs=1e-6)


def test_a_layer_is_the_same_each_time():
    first, again = (outputs.three_classes().train_layer() for _ in range(2))

    assert all(map(torch.equal, first.parameters(), again.parameters()))


def test_a_sigmoid_output_with_cross_entropy_finds_the_true_probabilities():
    layer = outputs.two_classes().train_layer()

    assert float(layer.weight) == pytest.approx(2, abs=0.05)
    assert float(layer.bias) == pytest.approx(0, abs=0.05)


def test_a_softmax_output_with_cross_entropy_classifies_irises():
    example = outputs.three_classes()

    layer = example.train_layer()

    assert torch.softmax(layer(example.x), dim=1).sum(1).tolist() == pytest.approx([1] * 150)
    assert outputs.accuracy(example, layer) > 0.95


@pytest.mark.parametrize(
    ("loss", "unit", "truth"),
    [
        (outputs.squared_error, lambda z: z, torch.tensor([[1.5], [-2.0]])),
        (functional.binary_cross_entropy_with_logits, torch.sigmoid, torch.tensor([[1.0], [0.0]])),
    ],
    ids=["linear", "sigmoid"],
)
def test_the_gradient_of_a_matching_pair_is_answer_minus_truth(loss, unit, truth):
    z = torch.tensor([[-3.0], [0.7]])

    assert torch.allclose(outputs.gradient(loss, z, truth), unit(z) - truth)


def test_the_gradient_of_softmax_with_cross_entropy_is_answer_minus_truth():
    z, truth = torch.tensor([[-3.0, 0.5, 1.0]]), torch.tensor([1])

    gradient = outputs.gradient(functional.cross_entropy, z, truth)

    assert torch.allclose(gradient, z.softmax(1) - torch.tensor([[0.0, 1.0, 0.0]]))


def test_a_sigmoid_with_squared_error_hardly_pulls_where_it_is_most_wrong():
    wrong, truth = torch.tensor([[-10.0]]), torch.tensor([[1.0]])

    mismatched = outputs.gradient(lambda z, y: outputs.squared_error(torch.sigmoid(z), y), wrong, truth)
    matching = outputs.gradient(functional.binary_cross_entropy_with_logits, wrong, truth)

    assert abs(float(mismatched)) < 0.001 < 0.99 < abs(float(matching))


def test_every_row_of_the_section_agrees_with_the_lecture(lesson):
    assert all(row.agrees for row in outputs.section(lesson).rows)
