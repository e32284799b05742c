from dataclasses import replace

import pytest
import torch

from training.lecture import cifar_demo, fashion_demo
from training.lecture.demo import Demo, LectureScore, Score


@pytest.fixture(scope="module")
def demo(lesson) -> Demo:
    return Demo(fashion_demo.FAST_RECIPE, lesson.fashion_mnist)


@pytest.mark.trains
def test_the_score_is_measured_on_the_test_images(demo):
    logits = demo.trained.forward_features(demo.data.test.pixels).logits
    right = (logits.argmax(1) == demo.data.test.labels).sum()

    assert demo.score.n == len(demo.data.test)
    assert demo.score.accuracy == int(right) / demo.score.n
    assert demo.score.loss == pytest.approx(float(torch.nn.functional.cross_entropy(logits, demo.data.test.labels)))


def test_the_margins_are_two_standard_errors_of_a_difference():
    score = Score(loss=0.35, accuracy=0.8699, loss_std=0.6, n=10_000)

    loss, accuracy = score.compare("MLP", LectureScore(0.3378, 0.8792))

    assert f"{0.3378 + 2 * 0.6 * 2**0.5 / 100:.4f}" in loss.criterion
    assert f"{0.8792 - 2 * (2 * 0.8792 * 0.1208) ** 0.5 / 100:.4f}" in accuracy.criterion
    assert (loss.agrees, accuracy.agrees) == (True, False)


@pytest.mark.trains
def test_the_log_has_a_line_with_training_and_validation_figures_for_each_epoch(demo):
    log, last = demo.log(), demo.epochs[-1]

    assert [row[0] for row in log.rows] == ["1/5", "2/5", "3/5", "4/5", "5/5"]
    assert log.rows[-1][2:] == tuple(
        f"{value:.4f}" for value in (last.loss, last.accuracy, last.val_loss, last.val_accuracy)
    )


@pytest.mark.trains
def test_the_result_names_both_accuracies(demo):
    result = demo.result(LectureScore(loss=0.5, accuracy=0.25))

    assert f"{demo.score.accuracy:.2%}" in result
    assert "The lecture has 25.00% and 0.5000." in result


def test_the_settings_are_described_with_their_true_numbers(demo):
    assert demo.settings().startswith("It trains for 5 epochs of 360 images, in batches of 1,024, with the optimizers")
    assert "Muon and Adam" in demo.settings()
    assert "40 more images are set aside for validation" in demo.settings()


def test_full_demos_have_the_lectures_own_settings(lesson):
    full = replace(lesson, full=True)

    fashion = Demo(fashion_demo.recipe_for(full), lesson.fashion_mnist).settings()
    cifar = Demo(cifar_demo.recipe_for(full), lesson.cifar_10).settings()

    own = "epochs of 360 images, in batches of 32, with the optimizer Adam (the lecture's own settings)"
    assert fashion.startswith(f"It trains for 5 {own}")
    assert cifar.startswith(f"It trains for 10 {own}")


def test_the_summary_lists_layers_as_the_lecture_does():
    assert [tuple(layer) for layer in cifar_demo.summary()] == [
        ("Conv2D", (30, 30, 32), 896),
        ("MaxPooling2D", (15, 15, 32), 0),
        ("Conv2D", (13, 13, 64), 18_496),
        ("MaxPooling2D", (6, 6, 64), 0),
        ("Conv2D", (4, 4, 64), 36_928),
        ("Flatten", (1024,), 0),
        ("Dense", (64,), 65_600),
        ("Dense", (10,), 650),
    ]
