"""One loaded model: an onnxruntime session, the card it carries and the digest of its file."""

import hashlib
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import onnxruntime
from msgspec import UNSET
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as onnxruntime_errors

from serving.contract import GOLDEN_TOLERANCE, INPUT, NOVELTY, PROBABILITIES, ContractError, ModelCard

# onnxruntime's exceptions have no common ancestor but Exception.
RUNTIME_ERRORS: tuple[type[Exception], ...] = (
    MemoryError,
    *(kind for kind in vars(onnxruntime_errors).values() if isinstance(kind, type) and issubclass(kind, Exception)),
)
AT_ONCE = 16  # images: a graph takes no less for each of more at once, and much more memory
LARGEST_FILE = 2**31 - 1  # bytes: what protobuf, which the format is made of, can hold


class Outputs(NamedTuple):
    """What a graph makes of a batch: probabilities [batch, classes] and, where it has that output, novelty [batch]."""

    probabilities: NDArray[np.float32]
    novelty: NDArray[np.float32] | None

    @classmethod
    def of(cls, outputs: Sequence[NDArray[np.float32]]) -> Self:
        """Return them in a graph's order."""
        return cls(outputs[0], outputs[1] if len(outputs) > 1 else None)


class Classifier:
    """A model that kept its contract and gave the expected answers to its golden samples."""

    def __init__(self, session: onnxruntime.InferenceSession, digest: str) -> None:
        """Check a session against the contract; raises ContractError with the reason."""
        self._session = session
        self.digest = digest
        self.card = ModelCard.from_metadata(session.get_modelmeta().custom_metadata_map)
        self.height, self.width, self.channels = _input_shape(session)
        self._outputs = _check_outputs(session, self.card)
        self.check_golden()

    @classmethod
    def open(cls, path: Path, threads: int = 1, known: Self | None = None) -> Self:
        """Load a file with this many onnxruntime threads; raises ContractError naming the file.

        known: what is returned, nothing being loaded, if the file has the same bytes.
        """
        graph = _read(path)
        digest = f"sha256:{hashlib.sha256(graph).hexdigest()}"
        if known and known.digest == digest:
            return known
        try:
            # From memory, so that the digest is that of the bytes in use and no second file is ever read.
            session = onnxruntime.InferenceSession(
                graph, _options(threads), ["CPUExecutionProvider"], enable_fallback=0
            )
            return cls(session, digest)
        except RUNTIME_ERRORS as error:
            raise ContractError(f"{path}: onnxruntime cannot load it: {error}") from error
        except ValueError as error:  # a ContractError, or metadata that is not UTF-8
            raise ContractError(f"{path}: {error}") from error

    def run(self, pixels: NDArray[np.uint8]) -> Outputs:
        """Return what the graph makes of raw pixels [batch, height, width, channels]."""
        if len(pixels) <= AT_ONCE:
            return Outputs.of(self._session.run(self._outputs, {INPUT: pixels}))
        parts = [pixels[start : start + AT_ONCE] for start in range(0, len(pixels), AT_ONCE)]
        columns = zip(*(self._session.run(self._outputs, {INPUT: part}) for part in parts), strict=True)
        return Outputs.of([np.concatenate(column) for column in columns])

    def classify(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return probabilities [batch, classes] of raw pixels [batch, height, width, channels]."""
        return self.run(pixels).probabilities

    def novel(self, outputs: Outputs) -> list[bool] | None:
        """Return which images of a batch are unlike the training data; None where the graph doesn't say."""
        if outputs.novelty is None or self.card.novelty is UNSET:
            return None
        threshold = self.card.novelty.threshold
        return [novelty > threshold for novelty in outputs.novelty.tolist()]

    def check_golden(self) -> None:
        """Ask the graph for its golden samples; raises ContractError when it gives other answers than were recorded."""
        for number, golden in enumerate(self.card.golden, start=1):
            pixels = golden.pixels()
            if pixels.shape != (self.height, self.width, self.channels):
                raise ContractError(f"golden sample {number} has shape {pixels.shape}, not the input's")
            outputs = self.run(pixels[None])
            differences = np.abs(outputs.probabilities[0] - golden.probabilities)
            if outputs.novelty is not None and golden.novelty is not UNSET:
                differences = np.append(differences, abs(outputs.novelty[0] - golden.novelty))
            if not (largest := float(differences.max())) <= GOLDEN_TOLERANCE:
                raise ContractError(
                    f"golden sample {number} differs by {largest:.2g} from the trained network's answer "
                    f"(at most {GOLDEN_TOLERANCE:g} is allowed); the file is damaged: export it again"
                )


def _read(path: Path) -> bytes:
    try:
        with open(path, "rb", opener=_at_once) as file:  # Path.open takes no opener
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ContractError(f"{path}: not a regular file")
            if status.st_size > LARGEST_FILE:
                raise ContractError(f"{path}: {status.st_size:,} bytes; an ONNX file has at most {LARGEST_FILE:,}")
            return bytes(file.read(LARGEST_FILE))
    except OSError as error:
        raise ContractError(f"{path}: cannot be read: {error.strerror}") from error


def _at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # which else waits for the writer of a pipe


def _options(threads: int) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 4  # what is worth saying comes as an exception
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _input_shape(session: onnxruntime.InferenceSession) -> tuple[int, int, int]:
    """Return height, width and channels of the graph's one input."""
    inputs = session.get_inputs()
    shape = inputs[0].shape if len(inputs) == 1 else []
    well_formed = (
        len(shape) == 4
        and inputs[0].name == INPUT
        and inputs[0].type == "tensor(uint8)"
        and isinstance(shape[0], str)
        and all(isinstance(size, int) and size > 0 for size in shape[1:])
        and shape[3] in (1, 3)
    )
    if not well_formed:
        found = ", ".join(f"{i.name} {i.type} {i.shape}" for i in inputs)
        raise ContractError(
            f"the input must be '{INPUT}', uint8 [batch, height, width, 1 or 3] with a dynamic batch; found {found}"
        )
    return shape[1], shape[2], shape[3]


def _check_outputs(session: onnxruntime.InferenceSession, card: ModelCard) -> list[str]:
    """Return the names of the outputs to ask for."""
    outputs = {output.name: output for output in session.get_outputs()}
    found = ", ".join(f"{o.name} {o.type} {o.shape}" for o in outputs.values())
    output, classes = outputs.get(PROBABILITIES), len(card.labels)
    if output is None or output.type != "tensor(float)" or list(output.shape[1:]) != [classes]:
        raise ContractError(
            f"the output '{PROBABILITIES}' must be float32 [batch, {classes}], one a label; found {found}"
        )
    if card.novelty is UNSET:
        return [PROBABILITIES]
    output = outputs.get(NOVELTY)
    if output is None or output.type != "tensor(float)" or len(output.shape) != 1:
        raise ContractError(f"the card speaks of novelty, but no output '{NOVELTY}' is float32 [batch]; found {found}")
    return [PROBABILITIES, NOVELTY]
