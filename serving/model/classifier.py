"""A loaded model: an onnxruntime session, the card that its file carries, and the file's digest."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from msgspec import UNSET
from numpy.typing import NDArray

from serving import regular_file
from serving.imaging.png import MAX_INPUT_PIXELS
from serving.model.card import GOLDEN_TOLERANCE, INPUT, NOVELTY, PROBABILITIES, ContractError, Golden, ModelCard
from serving.model.external_data import check_self_contained
from serving.model.runtime import RUNTIME_ERRORS, onnxruntime, open_session

MICRO_BATCH = 16  # images of one run: with more, none takes less time, and all take much more memory
MAX_FILE_BYTES = 512 << 20  # loading takes three times as much memory; 100 million weights take 400 MB


class Outputs(NamedTuple):
    """The outputs of a graph: probabilities [batch, classes] and, where it has that output, novelty [batch]."""

    probabilities: NDArray[np.float32]
    novelty: NDArray[np.float32] | None = None

    @classmethod
    def concatenate(cls, parts: Sequence[Self]) -> Self:
        """Join the outputs for one batch after another; the parts are of one graph, and at least one."""
        novelties = [part.novelty for part in parts if part.novelty is not None]
        return cls(
            np.concatenate([part.probabilities for part in parts]), np.concatenate(novelties) if novelties else None
        )

    def differences(self, other: "Outputs") -> list[float]:
        """Return the largest absolute difference of each output from another graph's, for the same images."""
        pairs = zip(self, other, strict=True)
        return [float(np.abs(mine - theirs).max()) for mine, theirs in pairs if mine is not None and theirs is not None]


class Classifier:
    """A model that keeps the contract and gave the expected answers to its golden samples."""

    def __init__(self, session: onnxruntime.InferenceSession, digest: str) -> None:
        """Check a session against the contract; raises ContractError with the reason."""
        self._session = session
        self.digest = digest
        self.card = ModelCard.from_metadata(session.get_modelmeta().custom_metadata_map)
        self.shape = self.height, self.width, self.channels = _input_shape(session)  # of an input
        self._output_names = _check_outputs(session, self.card)
        for batch_size in (1, MICRO_BATCH):  # a graph may answer one image rightly, and several wrongly
            self.check_golden(batch_size)

    @classmethod
    def open(
        cls,
        path: Path,
        threads: int = 1,
        known: Self | None = None,
        fault: Callable[[str], str | None] | None = None,
        trial: Callable[[bytes, str], str | None] | None = None,
    ) -> Self:
        """Load a file with this many onnxruntime threads; raises ContractError naming the file.

        known: returned as it is, without loading, if the file still has its bytes.
        fault: says why a file with a digest may not be loaded, if so.
        trial: is given the bytes and the digest of a file that may, and says why it cannot be loaded, if so.
        """
        try:
            graph = regular_file.read(path, MAX_FILE_BYTES, "a model file")
        except regular_file.RegularFileError as error:
            raise ContractError(f"{path}: {error}") from error
        digest = digest_of(graph)
        if fault and (reason := fault(digest)):
            raise ContractError(f"{path}: {reason}")
        if known and known.digest == digest:
            return known
        if trial and (reason := trial(graph, digest)):
            raise ContractError(f"{path}: {reason}")
        try:
            check_self_contained(graph)
            # From memory, so that the digest is that of the bytes in use and no second file is ever read.
            return cls(open_session(graph, threads), digest)
        except RUNTIME_ERRORS as error:
            raise ContractError(f"{path}: onnxruntime cannot load it: {error}") from error
        except ValueError as error:  # a ContractError, or metadata that is not UTF-8
            raise ContractError(f"{path}: {error}") from error

    @property
    def full_name(self) -> str:
        """NAME:VERSION, by which a client may ask for it."""
        return f"{self.card.name}:{self.card.version}"

    def run(self, pixels: NDArray[np.uint8]) -> Outputs:
        """Return the graph's outputs for raw pixels [batch, height, width, channels]."""
        if len(pixels) <= MICRO_BATCH:
            return self._run(pixels)
        starts = range(0, len(pixels), MICRO_BATCH)
        return Outputs.concatenate([self._run(pixels[start : start + MICRO_BATCH]) for start in starts])

    def classify(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return probabilities [batch, classes] for raw pixels [batch, height, width, channels]."""
        return self.run(pixels).probabilities

    def check_golden(self, batch_size: int = MICRO_BATCH) -> None:
        """Run the golden samples; raises ContractError when the outputs differ from the recorded ones."""
        golden = self.card.golden
        for start in range(0, len(golden), batch_size):
            self._check_batch(golden[start : start + batch_size], start + 1)

    def _check_batch(self, batch: list[Golden], first: int) -> None:
        """Check golden samples that are run together; first: the number of the first one."""
        pixels = np.stack([self._golden_pixels(golden, number) for number, golden in enumerate(batch, first)])
        outputs = self._run(pixels)
        differences = _differences(outputs, batch)
        wrong = ~(differences <= GOLDEN_TOLERANCE)  # so, since NaN compares with nothing
        if wrong.any():
            number, together = first + int(wrong.argmax()), f" in a batch of {len(batch)}" if len(batch) > 1 else ""
            raise ContractError(
                f"golden sample {number}{together} differs by {differences[wrong][0]:.2g} from the trained network's "
                f"output (the limit is {GOLDEN_TOLERANCE:g}); the file is damaged: export it again"
            )

    def _golden_pixels(self, golden: Golden, number: int) -> NDArray[np.uint8]:
        pixels = golden.pixels()
        if pixels.shape != self.shape:
            raise ContractError(f"golden sample {number} has shape {pixels.shape}, not the input's")
        return pixels

    def _run(self, pixels: NDArray[np.uint8]) -> Outputs:
        return Outputs(*self._session.run(self._output_names, {INPUT: pixels}))


def digest_of(file: bytes) -> str:
    """Return a model file's digest, as answers, lists and logs have it."""
    return f"sha256:{hashlib.sha256(file).hexdigest()}"


def _differences(outputs: Outputs, batch: list[Golden]) -> NDArray[np.float32]:
    """Return the largest difference from each recorded output: [batch]; NaN where an output is."""
    expected = np.array([golden.probabilities for golden in batch], np.float32)
    for output, shape in zip(outputs, (expected.shape, expected.shape[:1]), strict=True):
        if output is not None and output.shape != shape:
            raise ContractError(
                f"for a batch of {len(batch)} images an output has the shape {output.shape}, not {shape}"
            )
    differences: NDArray[np.float32] = np.abs(outputs.probabilities - expected).max(1)
    for n, golden in enumerate(batch):
        if outputs.novelty is not None and golden.novelty is not UNSET:
            differences[n] = np.maximum(differences[n], abs(outputs.novelty[n] - golden.novelty))
    return differences


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
    if shape[1] * shape[2] > MAX_INPUT_PIXELS:
        raise ContractError(f"the input has {shape[1]} x {shape[2]} pixels; the limit is {MAX_INPUT_PIXELS:,}")
    return shape[1], shape[2], shape[3]


def _check_outputs(session: onnxruntime.InferenceSession, card: ModelCard) -> list[str]:
    """Return the names of the outputs to ask for."""
    outputs = {output.name: output for output in session.get_outputs()}
    found = ", ".join(f"{o.name} {o.type} {o.shape}" for o in outputs.values())
    output, classes = outputs.get(PROBABILITIES), len(card.labels)
    if output is None or output.type != "tensor(float)" or list(output.shape[1:]) != [classes]:
        raise ContractError(
            f"the output '{PROBABILITIES}' must be float32 [batch, {classes}], a value for each label; found {found}"
        )
    if card.novelty is UNSET:
        return [PROBABILITIES]
    output = outputs.get(NOVELTY)
    if output is None or output.type != "tensor(float)" or len(output.shape) != 1:
        raise ContractError(f"the card has novelty, but no output '{NOVELTY}' is float32 [batch]; found {found}")
    return [PROBABILITIES, NOVELTY]
