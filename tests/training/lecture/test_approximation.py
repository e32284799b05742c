from training.lecture.approximation import Fit, learned, line, placed


def test_the_error_of_function_and_derivative_falls_as_the_hidden_layer_grows():
    fits = [Fit.of(placed(line(), units), line()) for units in (4, 16, 64)]

    assert fits[0].error > 100 * fits[1].error > 100 * fits[2].error
    assert fits[0].slope_error > 100 * fits[1].slope_error > 100 * fits[2].slope_error
    assert fits[2].error < 1e-5


def test_descent_learns_but_falls_short_of_what_the_network_can_represent():
    x = line()
    before, after = (Fit.of(learned(x, 32, steps), x) for steps in (0, 400))

    assert after.error < before.error / 2
    assert after.error > 10 * Fit.of(placed(x, 32), x).error
