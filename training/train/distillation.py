"""Distillation: soft labels from teachers, which are other networks, for a smaller network to learn from."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx
import torch
from torch import Tensor

from serving.model.card import MODEL_FILE
from serving.model.classifier import Classifier
from training.datasets.labelled import LabelledImages
from training.graph.onnx_export import run
from training.progress import track
from training.recipe import Recipe
from training.train.checkpoint import CheckpointError, SavedRun, limit_of
from training.train.precision import fastest
from training.train.trained_network import from_checkpoint
from training.train.trainer import infer
from training.train.training_views import sha256
from training.version_folders import newest_file

COMMITTED_MODELS = Path(__file__).parents[2] / "models"
CHECKPOINTS = ".checkpoints"  # beside the models, and hidden from the service as drafts are
PredictSoftLabels = Callable[[Tensor], Tensor]  # from pixels uint8 [n, h, w, c] to probabilities [n, classes]


class TeacherError(Exception):
    """The teacher is not among the models."""


@dataclass(frozen=True)
class Teacher:
    """A network that another one learns from.

    file: its exported model or, where it was only trained, its weights. recipe: of the weights; None for a model.
    """

    name: str
    file: Path
    recipe: Recipe | None = None

    @property
    def title(self) -> str:
        """NAME:VERSION or NAME, the network, which says what it was pretrained on, and the file's digest."""
        network = self.recipe.network().title if self.recipe else _network_of(self.file)
        return f"{self.name} ({network}) sha256:{self.digest}"

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.file.read_bytes()).hexdigest()

    def predict(self, train: LabelledImages, device: torch.device) -> PredictSoftLabels:
        """Return what gives its probabilities; a model in its file runs on the processor.

        train: the images that it was trained on, for its normalization. Raises CheckpointError.
        """
        if not self.recipe:
            graph = onnx.load(self.file)
            return lambda pixels: torch.from_numpy(run(graph, pixels.numpy()).probabilities)
        trained = from_checkpoint(self.recipe, train, self.file)
        precision = fastest(trained.network, device)
        network, normalize = precision.to_device(trained.network), trained.normalize.to(device)
        served = self.recipe.to_served(network)
        return lambda pixels: infer(served, normalize, pixels.to(device), precision).softmax(1).cpu()


def find_teacher(teacher: str, models: Path, recipes: Mapping[str, Recipe], limit: int | None = None) -> Teacher:
    """Return a teacher among these models, those trained beside them, or those that came with the code.

    teacher: NAME, for the newest version, or NAME:VERSION. limit: of the training that is taught. With one, the newest
    version may come from a rehearsal too; weights of a rehearsal fit this very limit alone. Raises TeacherError, and
    ContractError or CheckpointError for a damaged file.
    """
    name, _, wanted = teacher.partition(":")
    file = _version(models / name, wanted)
    if file and (not Classifier.open(file).card.training.limit or limit or wanted):
        return Teacher(f"{name}:{file.parent.name}", file)
    weights = trained_file(models, name)
    if not wanted and name in recipes and weights.exists() and limit_of(weights) in (None, limit):
        return Teacher(name, weights, recipes[name])
    if file := _version(COMMITTED_MODELS / name, wanted):
        return Teacher(f"{name}:{file.parent.name}", file)
    raise TeacherError(
        f"this recipe's teacher, {teacher}, is not in {models}; train it first: "
        f"python -m training.export {name} --models-dir {models}"
    )


def trained_file(models: Path, name: str) -> Path:
    """Return the file of a network that was trained and not exported."""
    return models / CHECKPOINTS / f"{name}-trained.pt"


def soft_labels(
    teachers: Sequence[Teacher], views: Tensor, train: LabelledImages, device: torch.device, file: Path
) -> Tensor:
    """Return the mean of the teachers' probabilities [views, n, classes] for views uint8 [views, n, h, w, c].

    file: keeps them for a training that is resumed. Raises CheckpointError.
    """
    kept = SavedRun(file, {"teachers": [teacher.digest for teacher in teachers], "views": sha256(views)})
    try:
        labels: Tensor = kept.load()["soft_labels"]
    except CheckpointError:  # none yet, or those of other views
        labels = torch.zeros(())
        for teacher in teachers:
            predict = teacher.predict(train, device)
            seen = [predict(pixels) for pixels in track(f"Running the teacher {teacher.file}", views, len(views))]
            labels = labels + torch.stack(seen) / len(teachers)
        kept.save({"soft_labels": labels})
    return labels


def _version(folder: Path, wanted: str) -> Path | None:
    """Return the file of a model's newest version, or of the one that is wanted."""
    if not wanted:
        return newest_file(folder)
    return file if (file := folder / wanted / MODEL_FILE).is_file() else None


def _network_of(file: Path) -> str:
    return Classifier.open(file).card.network
