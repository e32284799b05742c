"""Distillation: soft labels from an exported model, the teacher, for a smaller network to learn from."""

import hashlib
from pathlib import Path

import onnx
import torch
from torch import Tensor

from serving.model.card import MODEL_FILE
from training.graph.onnx_export import run
from training.recipes import Recipe
from training.train.checkpoint import CheckpointError, SavedRun
from training.train.lessons import Lessons

COMMITTED_MODELS = Path(__file__).parents[2] / "models"


class TeacherError(Exception):
    """The teacher is not among the models."""


def find_teacher(name: str, models: Path) -> Path:
    """Return the newest version of a model among these, or among those that came with the code. Raises TeacherError."""
    for place in (models, COMMITTED_MODELS):
        versions = [file for file in (place / name).glob(f"*/{MODEL_FILE}") if file.parent.name.isdecimal()]
        if versions:
            return max(versions, key=lambda file: int(file.parent.name))
    raise TeacherError(
        f"this recipe's teacher, {name}, has no version in {models}; train it first: "
        f"python -m training.export {name} --models-dir {models}"
    )


def soft_labels(teacher: Path, views: Tensor) -> Tensor:
    """Return an exported model's probabilities [views, n, classes] for views of images, uint8 [views, n, h, w, c]."""
    graph = onnx.load(teacher)
    return torch.stack([torch.from_numpy(run(graph, pixels.numpy()).probabilities) for pixels in views])


def taught_lessons(recipe: Recipe, pixels: Tensor, teacher: Path, file: Path) -> Lessons:
    """Return the recipe's views of images [n, h, w, c] with the teacher's soft labels.

    file: keeps them, for recipes that learn the same from the same teacher, and for a training that is resumed.
    """
    identity = {
        "view": recipe.values()["view"],
        "views": recipe.views,
        "seed": recipe.seed,
        "teacher": hashlib.sha256(teacher.read_bytes()).hexdigest(),
        "pixels": hashlib.sha256(pixels.numpy().tobytes()).hexdigest(),
    }
    kept = SavedRun(file, identity)
    try:
        return Lessons(**kept.load())
    except CheckpointError:  # none yet, or those of other views
        views = Lessons.draw(recipe, pixels).pixels
        lessons = Lessons(views, soft_labels(teacher, views))
        kept.save({"pixels": lessons.pixels, "soft_labels": lessons.soft_labels})
        return lessons
