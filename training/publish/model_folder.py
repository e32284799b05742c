"""A model's folder: written to a draft and moved into place, so that nobody ever sees it half-written."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serving.model.card import MODEL_FILE

# The fields of a tensor in config.pbtxt, in their order there.
TENSOR_FIELDS = ("name", "data_type", "format", "dims", "label_filename", "reshape")
ENUMS = ("TYPE_", "FORMAT_")  # the prefixes of Triton's enum values, which have no quotes


@dataclass(frozen=True)
class ModelFolder:
    """models/<name>: numbered versions, and beside them the files that describe the newest."""

    models: Path
    name: str

    def next_version(self) -> str:
        """Return the number after the highest version."""
        return str(max(self._versions(), default=0) + 1)

    def newest(self) -> Path | None:
        """Return the graph of the highest version; None where there is none."""
        file = self.models / self.name / str(max(self._versions(), default=0)) / MODEL_FILE
        return file if file.exists() else None

    def _versions(self) -> list[int]:
        return [int(path.name) for path in (self.models / self.name).glob("[1-9]*") if path.name.isdecimal()]

    @contextmanager
    def draft(self) -> Iterator[Path]:
        """Yield an empty folder beside the models; it is removed at the end, with all that is left in it."""
        self.models.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{self.name}-", dir=self.models, ignore_cleanup_errors=True) as draft:
            yield Path(draft)

    def publish(self, draft: Path, version: str) -> Path:
        """Move a draft into place: the folder of its version first, then each file beside it.

        Raises FileExistsError when another export has published this version meanwhile.
        """
        target = self.models / self.name
        target.mkdir(exist_ok=True)
        try:
            (draft / version).rename(target / version)
        except OSError as error:
            if not (target / version).exists():
                raise
            raise FileExistsError(
                f"{target / version} was published meanwhile; run the same command with --resume to publish the next "
                "version"
            ) from error
        for file in draft.iterdir():
            file.replace(target / file.name)
        return target / version


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
