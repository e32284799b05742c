from dataclasses import replace

import pytest
import torch

from training.lecture import garments, things
from training.lecture.demo import Demo, Printed, Score
from training.networks import MLP, parameters


@pytest.fixture(scope="module")
def demo(lesson) -> Demo:
    return Demo(garments.FAST, lesson.garments)


def test_a_score_is_that_of_the_test_images(demo):
    logits = demo.fitted.observe(demo.data.test.pixels).logits
    right = (logits.argmax(1) == demo.data.test.labels).sum()

    assert demo.score.n == len(demo.data.test)
    assert demo.score.accuracy == int(right) / demo.score.n
    assert demo.score.loss == pytest.approx(float(torch.nn.functional.cross_entropy(logits, demo.data.test.labels)))


def test_the_margins_are_two_standard_errors_of_a_difference():
    loss, accuracy = Score(loss=0.35, accuracy=0.8699, spread=0.6, n=10_000).beside("MLP", Printed(0.3378, 0.8792))

    assert f"{0.3378 + 2 * 0.6 * 2**0.5 / 100:.4f}" in loss.criterion
    assert f"{0.8792 - 2 * (2 * 0.8792 * 0.1208) ** 0.5 / 100:.4f}" in accuracy.criterion
    assert (loss.agrees, accuracy.agrees) == (True, False)


def test_the_log_has_a_line_for_each_epoch_with_training_and_validation(demo):
    log = demo.log()

    assert [row[0] for row in log.rows] == ["1/5", "2/5", "3/5", "4/5", "5/5"]
    assert log.rows[-1][2:] == tuple(
        f"{value:.4f}"
        for value in (
            demo.epochs[-1].loss,
            demo.epochs[-1].accuracy,
            demo.epochs[-1].held_loss,
            demo.epochs[-1].held_accuracy,
        )
    )


def test_how_it_was_trained_is_told_with_its_true_numbers(demo):
    assert demo.told().startswith("5 epochs of 360 images in batches of 1,024 with Muon and Adam")
    assert "40 more are held out" in demo.told()


def test_demo_1_has_the_lectures_classes_network_and_figures_beside_its_own(lesson):
    section = garments.section(lesson)

    rows = {row.item: row for row in section.rows}
    assert rows["MLP: the class names"].agrees
    assert rows["MLP: training loss by epoch"].agrees
    assert rows["MLP: test accuracy"].lecture == 0.8792
    assert rows["MLP: test loss"].lecture == pytest.approx(0.3378, abs=1e-4)
    assert any(f"{parameters(MLP()):,}" in block for block in section.blocks if isinstance(block, str))


def test_in_full_the_demos_have_the_lectures_own_settings(lesson):
    full = replace(lesson, full=True)

    garment, thing = (
        Demo(module.recipe_of(full), data) for module, data in ((garments, lesson.garments), (things, lesson.things))
    )

    assert garment.told().startswith("5 epochs of 360 images in batches of 32 with Adam, the lecture's own settings")
    assert thing.told().startswith("10 epochs of 360 images in batches of 32 with Adam, the lecture's own settings")


def test_demo_2_has_the_lectures_tables_and_figures_beside_its_own(lesson):
    rows = {row.item: row for row in things.section(lesson).rows}

    shapes = [row for item, row in rows.items() if "shapes" in item or "parameters" in item]
    assert len(shapes) == 6
    assert all(row.agrees for row in shapes)
    assert (rows["CNN: parameters of the base"].here, rows["CNN: parameters of the whole"].here) == (56_320, 122_570)
    assert (rows["CNN: test loss"].lecture, rows["CNN: test accuracy"].lecture) == (1.016327, 0.6686)


def test_the_summary_lists_layers_as_the_lecture_does():
    assert [tuple(layer) for layer in things.summary()] == [
        ("Conv2D", (30, 30, 32), 896),
        ("MaxPooling2D", (15, 15, 32), 0),
        ("Conv2D", (13, 13, 64), 18_496),
        ("MaxPooling2D", (6, 6, 64), 0),
        ("Conv2D", (4, 4, 64), 36_928),
        ("Flatten", (1024,), 0),
        ("Dense", (64,), 65_600),
        ("Dense", (10,), 650),
    ]
