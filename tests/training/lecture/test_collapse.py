import torch

from training.lecture import collapse


def test_two_linear_layers_are_one():
    x, w1, b1, w2, b2 = collapse.two_layers()

    w, b = collapse.collapsed(w1, b1, w2, b2)

    assert w.shape == (5, 3)
    assert torch.allclose((x @ w1 + b1) @ w2 + b2, x @ w + b, rtol=0, atol=1e-12)


def test_with_a_nonlinearity_between_them_no_linear_model_does_the_same():
    x, w1, b1, w2, b2 = collapse.two_layers()

    assert collapse.unexplained(x, (x @ w1 + b1) @ w2 + b2) < 1e-20
    assert collapse.unexplained(x, (x @ w1 + b1).relu() @ w2 + b2) > 0.1


def test_the_section_agrees_with_the_lecture_throughout(lesson):
    assert all(row.agrees for row in collapse.section(lesson).rows)
