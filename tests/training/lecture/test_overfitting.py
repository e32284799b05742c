from dataclasses import replace

import pytest
import torch

from training.datasets.labelled import LabelledImages, TrainTest
from training.lecture import overfitting
from training.lecture.section import Lesson


def mislabelled(images: LabelledImages, share: float) -> LabelledImages:
    """Return images of which this share has random labels, which a network can only learn by heart."""
    generator = torch.Generator().manual_seed(0)
    wrong = torch.rand(len(images), generator=generator) < share
    random_labels = torch.randint(0, 10, (len(images),), generator=generator)
    return LabelledImages(images.pixels, torch.where(wrong, random_labels, images.labels))


@pytest.mark.trains
def test_the_validation_loss_rises_again_while_the_training_loss_falls(lesson, monkeypatch):
    monkeypatch.setattr(overfitting, "LONG_TRAINING", replace(overfitting.LONG_TRAINING, epochs=40))
    noisy = TrainTest(mislabelled(lesson.fashion_mnist.train, 0.7), lesson.fashion_mnist.test)

    section = overfitting.section(Lesson(noisy, lesson.cifar_10))

    assert [row.agrees for row in section.rows] == [True]
