"""A model's folder: written aside and moved into place, so that it is never seen half-written."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

MAX_BATCH = 64

CONFIG = """\
name: "{name}"
backend: "onnxruntime"
max_batch_size: {max_batch}
version_policy {{ latest {{ num_versions: 1 }} }}
input [
  {{ name: "image", data_type: TYPE_UINT8, format: FORMAT_NHWC, dims: [ {height}, {width}, {channels} ] }}
]
output [
  {{ name: "probabilities", data_type: TYPE_FP32, dims: [ {classes} ], label_filename: "labels.txt" }}{novelty}
]
dynamic_batching {{ }}
"""
# One number an image, which the graph gives as [batch]: Triton wants a dimension to speak of, and drops it again.
NOVELTY = ',\n  { name: "novelty", data_type: TYPE_FP32, dims: [ 1 ], reshape: { shape: [ ] } }'


@dataclass(frozen=True)
class ModelFolder:
    """models/<name>: numbered versions, and beside them what is said of the newest."""

    models: Path
    name: str

    def next_version(self) -> str:
        """Return one more than the highest version there is."""
        return str(max(self._versions(), default=0) + 1)

    def newest(self) -> Path | None:
        """Return the graph of the highest version, if there is one."""
        file = self.models / self.name / str(max(self._versions(), default=0)) / "model.onnx"
        return file if file.exists() else None

    def _versions(self) -> list[int]:
        return [int(path.name) for path in (self.models / self.name).glob("[1-9]*") if path.name.isdecimal()]

    @contextmanager
    def draft(self) -> Iterator[Path]:
        """Yield an empty folder beside the models; what is left of it when the block ends is removed."""
        self.models.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{self.name}-", dir=self.models, ignore_cleanup_errors=True) as draft:
            yield Path(draft)

    def publish(self, draft: Path, version: str) -> Path:
        """Move a draft into place: its folder of that version, then each file beside it. Raises FileExistsError."""
        target = self.models / self.name
        target.mkdir(exist_ok=True)
        try:
            (draft / version).rename(target / version)
        except OSError as error:
            if not (target / version).exists():
                raise
            raise FileExistsError(
                f"{target / version} was published meanwhile; the same command with --resume publishes the next version"
            ) from error
        for file in draft.iterdir():
            file.replace(target / file.name)
        return target / version


def labels_text(labels: Sequence[str]) -> str:
    """Return labels.txt: one a line, in index order."""
    return "".join(f"{label}\n" for label in labels)


def triton_config(name: str, shape: tuple[int, int, int], classes: int, novelty: bool) -> str:
    """Return config.pbtxt, with which NVIDIA Triton serves the folder as it is.

    shape: height, width and channels of the input. novelty: whether the graph has that output too.
    """
    height, width, channels = shape
    sizes = {"height": height, "width": width, "channels": channels, "classes": classes}
    return CONFIG.format(name=name, max_batch=MAX_BATCH, novelty=NOVELTY if novelty else "", **sizes)
