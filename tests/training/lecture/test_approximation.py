import pytest

from training.lecture.approximation import Approximation, learned_network, placed_network, sample_points


def test_the_error_of_function_and_derivative_falls_as_the_hidden_layer_grows():
    x = sample_points()

    few, more, most = (Approximation.measure(placed_network(x, units), x) for units in (4, 16, 64))

    for less, better in ((few, more), (more, most)):
        assert better.error < less.error / 100
        assert better.derivative_error < less.derivative_error / 100
    assert most.error < 1e-5


@pytest.mark.trains
def test_gradient_descent_learns_but_falls_short_of_what_the_network_can_represent():
    x = sample_points()
    before, after = (Approximation.measure(learned_network(x, 32, steps), x) for steps in (0, 400))

    assert after.error < before.error / 2
    assert after.error > 10 * Approximation.measure(placed_network(x, 32), x).error
