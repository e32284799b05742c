"""The teacher of a recipe: found among the models, and run through onnxruntime."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from serving.model.classifier import Classifier
from training.recipe import Recipe
from training.recipes import RECIPES
from training.train.distillation import COMMITTED_MODELS, TeacherError, find_teacher, soft_labels, taught_lessons
from training.train.lessons import Lessons


def versions(models: Path, name: str, *numbers: str) -> Path:
    """Put an empty file in place of each version's model; returns the folder of models."""
    for number in numbers:
        (models / name / number).mkdir(parents=True)
        (models / name / number / "model.onnx").touch()
    return models


def test_the_teacher_is_the_newest_version(tmp_path):
    models = versions(tmp_path, "wise", "1", "9", "10")

    assert find_teacher("wise", models) == tmp_path / "wise" / "10" / "model.onnx"


def test_a_folder_that_is_not_a_version_or_has_no_model_is_skipped(tmp_path):
    models = versions(tmp_path, "wise", "1", "draft")
    (models / "wise" / "2").mkdir()

    assert find_teacher("wise", models) == tmp_path / "wise" / "1" / "model.onnx"


def test_a_model_in_the_models_folder_comes_before_a_committed_one(tmp_path):
    models = versions(tmp_path, "fashion-mlp", "1")

    assert find_teacher("fashion-mlp", models).is_relative_to(models)


@pytest.mark.parametrize("folder", [".", "nowhere"], ids=["empty", "missing"])
def test_a_committed_model_is_the_teacher_if_the_models_folder_has_none(tmp_path, folder):
    file = find_teacher("fashion-mlp", tmp_path / folder)

    assert file.is_relative_to(COMMITTED_MODELS)
    assert file.is_file()


def test_a_version_can_be_named(tmp_path):
    models = versions(tmp_path, "wise", "1", "9", "10")

    assert find_teacher("wise:9", models) == tmp_path / "wise" / "9" / "model.onnx"


def test_a_missing_teacher_is_refused_with_the_command_that_trains_it(tmp_path):
    with pytest.raises(TeacherError, match=rf"wise, .* python -m training\.export wise --models-dir {tmp_path}"):
        find_teacher("wise", tmp_path)


def test_soft_labels_are_the_probabilities_that_the_service_gives_for_each_view(models, garments):
    file = models / "fashion-mlp" / "1" / "model.onnx"
    views = torch.stack([garments.test.pixels, 255 - garments.test.pixels])

    soft = soft_labels([file], views)

    classifier = Classifier.open(file)
    expected = np.stack([classifier.classify(view.numpy()) for view in views])
    assert soft.dtype == torch.float32
    assert np.abs(soft.numpy() - expected).max() <= 1e-6


def test_several_teachers_give_the_mean_of_their_probabilities(garments):
    files = [COMMITTED_MODELS / name / "1" / "model.onnx" for name in ("fashion-mlp", "fashion-net")]
    views = garments.test.pixels[None, :20]

    mean = soft_labels(files, views)

    alone = [soft_labels([file], views) for file in files]
    assert torch.allclose(mean, (alone[0] + alone[1]) / 2)


class TestTaughtLessons:
    RECIPE = replace(RECIPES["fashion-net-taught"], views=2)

    @pytest.fixture
    def lessons(self, models, garments, tmp_path):
        """Return the lessons of some test garments for a recipe."""

        def lessons(recipe: Recipe = self.RECIPE) -> Lessons:
            pixels = garments.test.pixels[:20]
            return taught_lessons(
                recipe, pixels, [models / "fashion-mlp" / "1" / "model.onnx"], tmp_path / "lessons.pt"
            )

        return lessons

    def test_the_teacher_sees_the_very_views_that_are_learned(self, lessons, models):
        taught = lessons()

        seen = soft_labels([models / "fashion-mlp" / "1" / "model.onnx"], taught.pixels)
        assert taught.pixels.shape == (2, 20, 28, 28, 1)
        assert torch.equal(taught.soft_labels, seen)

    def test_they_are_kept_for_a_training_that_is_resumed(self, lessons, tmp_path):
        first = lessons()
        written = (tmp_path / "lessons.pt").stat().st_mtime_ns

        again = lessons()

        assert torch.equal(again.pixels, first.pixels)
        assert torch.equal(again.soft_labels, first.soft_labels)
        assert (tmp_path / "lessons.pt").stat().st_mtime_ns == written

    def test_those_of_another_seed_are_drawn_anew(self, lessons):
        first = lessons()

        other = lessons(replace(self.RECIPE, seed=7))

        assert not torch.equal(other.pixels, first.pixels)

    def test_without_a_view_the_images_are_as_they_are(self, lessons, garments):
        plain = lessons(replace(self.RECIPE, view=None))

        assert torch.equal(plain.pixels, garments.test.pixels[None, :20])
