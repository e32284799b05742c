import torch

from training.lecture.agreement import at_least, at_most, exactly, format_value, nearly, to_value


def test_exactly_agrees_only_with_equal_values():
    assert exactly("parameters", 122_570, 122_570).agrees
    assert exactly("matrix", ((0, 1), (2, 1)), to_value(torch.tensor([[0.0, 1.0], [2.0, 1.0]]))).agrees
    assert not exactly("parameters", 122_570, 122_571).agrees


def test_nearly_agrees_when_every_number_is_near():
    assert nearly("β", (0, 0), (1e-13, -1e-13)).agrees
    assert not nearly("β", (0, 0), (1e-13, 1e-3)).agrees


def test_an_accuracy_agrees_down_to_the_margin():
    assert at_least("accuracy", 0.8792, 0.8701, margin=0.0092).agrees
    assert not at_least("accuracy", 0.8792, 0.8699, margin=0.0092).agrees


def test_a_loss_agrees_up_to_the_margin():
    assert at_most("loss", 1.0163, 1.03, margin=0.026).agrees
    assert not at_most("loss", 1.0163, 1.05, margin=0.026).agrees


def test_the_criterion_names_the_bound():
    assert "0.8700" in at_least("accuracy", 0.8792, 0.9, margin=0.0092).criterion
    assert "1.0423" in at_most("loss", 1.0163, 0.6, margin=0.026).criterion


def test_values_are_formatted_for_a_person():
    assert [format_value(value) for value in (122_570, 0.3377942, -0.0, "yes")] == ["122,570", "0.337794", "0", "yes"]
    assert format_value(((1024,), (64,))) == "((1024), (64))"
    assert format_value((("a", 0.5), ())) == "((a, 0.5), ())"
