from dataclasses import replace

import torch

from training.datasets.images import DataSet, Images
from training.lecture import overfitting
from training.lecture.section import Lesson


def mislabelled(images: Images, share: float) -> Images:
    """Return images of which this share has labels drawn at random: what can be learned of those is by heart alone."""
    generator = torch.Generator().manual_seed(0)
    wrong = torch.rand(len(images), generator=generator) < share
    drawn = torch.randint(0, 10, (len(images),), generator=generator)
    return Images(images.pixels, torch.where(wrong, drawn, images.labels))


def test_the_validation_loss_rises_again_while_the_training_loss_falls(lesson, monkeypatch):
    monkeypatch.setattr(overfitting, "LONG", replace(overfitting.LONG, epochs=40))
    noisy = DataSet(mislabelled(lesson.garments.train, 0.7), lesson.garments.test)

    section = overfitting.section(Lesson(noisy, lesson.things))

    assert [row.agrees for row in section.rows] == [True]
