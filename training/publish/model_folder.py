"""A model's folder: written to a draft and moved into place, so that nobody ever sees it half-written."""

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec import UNSET

from serving.model.card import LABELS_FILE, MODEL_FILE, ModelCard
from serving.model.triton_config import triton_config
from training.command import full_disk_told
from training.train.interrupt import without_interruption
from training.version_folders import newest_file, version_numbers

# The fields of a tensor in config.pbtxt, in their order there.
TENSOR_FIELDS = ("name", "data_type", "format", "dims", "label_filename", "reshape")
ENUMS = ("TYPE_", "FORMAT_")  # the prefixes of Triton's enum values, which have no quotes
TRITON_MAX_BATCH_SIZE = 64
README_FILE, CONFIGURATION_FILE = "README.md", "config.pbtxt"
REPORT_FILE, PREDICTIONS_FILE = "report.html", "predictions.csv"  # in a version's folder, of own images alone
RUN_AGAIN = "run the same command again, with --resume if it trains"
DRAFT, WITHDRAWN = ".draft", ".withdrawn"  # beside a model's versions, hidden from the service


@dataclass(frozen=True)
class ModelFolder:
    """models/<name>: numbered versions, and beside them the files that describe the newest.

    A draft is a version that never answered, in .draft, with its files beside it. Withdrawn versions are in .withdrawn.
    """

    models: Path
    name: str

    @property
    def path(self) -> Path:
        """The folder of the model."""
        return self.models / self.name

    def next_version(self) -> str:
        """Return the number after the highest version, including withdrawn ones: none is given twice."""
        return str(max([*version_numbers(self.path), *version_numbers(self.path / WITHDRAWN)], default=0) + 1)

    def newest(self) -> Path | None:
        """Return the graph of the highest version that has one; None where there is none."""
        return newest_file(self.path)

    def versions(self) -> list[Path]:
        """Return the folders of the versions, lowest first; the service ignores those without a model file."""
        folders = (self.path / str(number) for number in version_numbers(self.path))
        return [folder for folder in folders if (folder / MODEL_FILE).is_file()]

    def withdrawn(self) -> list[Path]:
        """Return the folders of the withdrawn versions, lowest first."""
        return [self.path / WITHDRAWN / str(number) for number in version_numbers(self.path / WITHDRAWN)]

    def kept_draft(self) -> Path | None:
        """Return the folder of the version in the draft that was kept; None where there is none."""
        number = max(version_numbers(self.path / DRAFT), default=0)
        return self.path / DRAFT / str(number) if number else None

    @contextmanager
    def draft(self) -> Iterator[Path]:
        """Yield an empty folder beside the models; it is removed at the end, with all that is left in it.

        Raises OSError, on a full disk with what to do.
        """
        with full_disk_told(self.models, f"not published; make room, and {RUN_AGAIN}"):
            self.models.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(
                prefix=f".{self.name}-", dir=self.models, ignore_cleanup_errors=True
            ) as draft:
                yield Path(draft)

    def refuse_published(self, version: str) -> None:
        """Raise FileExistsError when another command has published this version meanwhile."""
        if (self.path / version).exists():
            raise FileExistsError(
                f"{self.path / version} was published meanwhile; to publish the next version, {RUN_AGAIN}"
            )

    @without_interruption()
    def publish(self, draft: Path, version: str) -> Path:
        """Move a draft into place: the folder of its version first, then each file beside it; Ctrl-C waits meanwhile.

        Raises FileExistsError when another export has published this version meanwhile.
        """
        target, older = self.path, self.newest()
        target.mkdir(exist_ok=True)
        try:
            (draft / version).rename(target / version)
        except OSError:
            self.refuse_published(version)
            raise
        if older and (target / README_FILE).exists():
            (target / README_FILE).replace(older.parent / README_FILE)
        for file in draft.iterdir():
            file.replace(target / file.name)
        return target / version

    @without_interruption()
    def keep(self, draft: Path) -> Path:
        """Keep a draft instead of publishing it, in place of the one kept before; returns its folder."""
        target = self.path / DRAFT
        if target.exists():
            shutil.rmtree(target)
        target.mkdir(parents=True)
        for file in draft.iterdir():
            file.replace(target / file.name)
        return target


def describe(folder: Path, card: ModelCard, shape: tuple[int, int, int]) -> None:
    """Write labels.txt and config.pbtxt into a model's folder; shape: height, width and channels of an input."""
    (folder / LABELS_FILE).write_text(labels_text(card.labels), encoding="utf-8")
    has_novelty, size = card.novelty is not UNSET, TRITON_MAX_BATCH_SIZE
    config = triton_config(card.name, shape, len(card.labels), has_novelty=has_novelty, max_batch_size=size)
    (folder / CONFIGURATION_FILE).write_text(config_pbtxt(config))


def labels_text(labels: Sequence[str]) -> str:
    """Return the text of labels.txt: one label a line, in index order."""
    return "".join(f"{label}\n" for label in labels)


def config_pbtxt(config: Mapping[str, Any]) -> str:
    """Return the text of config.pbtxt, with which NVIDIA Triton serves the folder unchanged.

    config: as serving.model.triton_config builds it.
    """
    newest = config["version_policy"]["latest"]["num_versions"]
    return (
        f'name: "{config["name"]}"\n'
        f'backend: "{config["backend"]}"\n'
        f"max_batch_size: {config['max_batch_size']}\n"
        f"version_policy {{ latest {{ num_versions: {newest} }} }}\n"
        f"input [\n{_tensors(config['input'])}\n]\n"
        f"output [\n{_tensors(config['output'])}\n]\n"
        "dynamic_batching { }\n"
    )


def _tensors(tensors: Sequence[Mapping[str, Any]]) -> str:
    ordered = [{name: tensor[name] for name in TENSOR_FIELDS if name in tensor} for tensor in tensors]
    return ",\n".join(f"  {_value(tensor)}" for tensor in ordered)


def _value(value: object) -> str:
    """Return a value in protobuf's text format."""
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{name}: {_value(inner)}' for name, inner in value.items())} }}"
    if isinstance(value, list):
        return f"[ {', '.join(map(_value, value))} ]" if value else "[ ]"
    if isinstance(value, str) and not value.startswith(ENUMS):
        return f'"{value}"'
    return str(value)
