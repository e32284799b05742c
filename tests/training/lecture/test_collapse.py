import torch

from training.lecture import collapse


def test_two_linear_layers_are_one():
    x, w1, b1, w2, b2 = collapse.two_layers()

    w, b = collapse.collapsed(w1, b1, w2, b2)

    assert w.shape == (5, 3)
    assert torch.allclose((x @ w1 + b1) @ w2 + b2, x @ w + b, rtol=0, atol=1e-12)


def test_no_linear_model_explains_two_layers_with_a_nonlinearity_between_them():
    x, w1, b1, w2, b2 = collapse.two_layers()

    assert collapse.unexplained_variance(x, (x @ w1 + b1) @ w2 + b2) < 1e-20
    assert collapse.unexplained_variance(x, (x @ w1 + b1).relu() @ w2 + b2) > 0.1


def test_every_row_of_the_section_agrees_with_the_lecture(lesson):
    assert all(row.agrees for row in collapse.section(lesson).rows)
