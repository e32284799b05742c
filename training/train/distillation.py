"""Distillation: soft labels from exported models, the teachers, for a smaller network to learn from."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor

from serving.model.card import MODEL_FILE
from training.graph.onnx_export import run
from training.progress import track
from training.recipe import Recipe
from training.train.checkpoint import CheckpointError, SavedRun
from training.train.lessons import Lessons

COMMITTED_MODELS = Path(__file__).parents[2] / "models"


class TeacherError(Exception):
    """The teacher is not among the models."""


def find_teacher(teacher: str, models: Path) -> Path:
    """Return a model's file among these models, or among those that came with the code. Raises TeacherError.

    teacher: NAME, for the newest version, or NAME:VERSION.
    """
    name, _, wanted = teacher.partition(":")
    for place in (models, COMMITTED_MODELS):
        files = [file for file in (place / name).glob(f"{wanted or '*'}/{MODEL_FILE}") if file.parent.name.isdecimal()]
        if files:
            return max(files, key=lambda file: int(file.parent.name))
    raise TeacherError(
        f"this recipe's teacher, {teacher}, is not in {models}; train it first: "
        f"python -m training.export {name} --models-dir {models}"
    )


def name_and_version(teacher: Path) -> str:
    """Return a model's NAME:VERSION, as its file's place says."""
    return f"{teacher.parents[1].name}:{teacher.parent.name}"


def soft_labels(teachers: Sequence[Path], views: Tensor) -> Tensor:
    """Return the mean of exported models' probabilities [views, n, classes] for views uint8 [views, n, h, w, c]."""
    total = torch.zeros(())
    for teacher in teachers:
        graph = onnx.load(teacher)
        seen = [
            run(graph, pixels.numpy()).probabilities
            for pixels in track(f"Running the teacher {teacher}", views, len(views))
        ]
        total = total + torch.from_numpy(np.stack(seen))
    return total / len(teachers)


def taught_lessons(recipe: Recipe, pixels: Tensor, teachers: Sequence[Path], file: Path) -> Lessons:
    """Return the recipe's views of images [n, h, w, c] with the teachers' soft labels.

    file: keeps them for a training that is resumed.
    """
    identity = {
        "view": recipe.values()["view"],
        "views": recipe.views,
        "seed": recipe.seed,
        "teachers": [hashlib.sha256(teacher.read_bytes()).hexdigest() for teacher in teachers],
        "pixels": hashlib.sha256(pixels.numpy().tobytes()).hexdigest(),
    }
    kept = SavedRun(file, identity)
    try:
        return Lessons(**kept.load())
    except CheckpointError:  # none yet, or those of other views
        views = Lessons.draw(recipe, pixels).pixels
        lessons = Lessons(views, soft_labels(teachers, views))
        kept.save({"pixels": lessons.pixels, "soft_labels": lessons.soft_labels})
        return lessons
