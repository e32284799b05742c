"""python -m serving.model.trial SECONDS: loads a model file for a service, within limits of time and memory.

SECONDS are the processor's; on the clock, where others may use it too, it has three times as many. Standard input is
the file; standard output gets one JSON value: the reason why the file is refused, or null. A process whose time is up
is ended by the kernel, whatever onnxruntime is doing, and then writes nothing.
"""

import math
import signal
import sys

import msgspec

from serving import address_space
from serving.imaging.png import MAX_INPUT_PIXELS
from serving.model.card import ContractError
from serving.model.classifier import MICRO_BATCH, Classifier
from serving.model.external_data import check_self_contained
from serving.model.runtime import RUNTIME_ERRORS, onnxruntime, open_session

CLOCK_SECONDS = 3  # for each of the processor
SPARE_BYTES = 256 << 20  # the committed models take up to 54 MB
FILE_COPIES = 4  # of a file's bytes: its weights as parsed, as read and as laid out for the processor
BYTES_PER_PIXEL = 2 << 10  # of a batch: ten layers' outputs of 50 channels as float32
MAX_BATCH_BYTES = 2 << 30


def main() -> None:
    """Load the file on standard input, and write what is wrong with it."""
    seconds = float(sys.argv[1])
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.setitimer(signal.ITIMER_REAL, CLOCK_SECONDS * seconds)
    fault = _find_fault(sys.stdin.buffer.read())
    sys.stdout.buffer.write(msgspec.json.encode(fault and str(ContractError(fault))))


def _find_fault(graph: bytes) -> str | None:
    """Return why a file cannot be loaded within the limit of memory; it holds for this process from then on."""
    limit = SPARE_BYTES + FILE_COPIES * len(graph)
    taken = address_space.used()
    try:
        check_self_contained(graph)
        address_space.limit(taken + limit)
        session = open_session(graph)
        limit += min(MAX_BATCH_BYTES, BYTES_PER_PIXEL * MICRO_BATCH * _pixels(session))
        address_space.limit(taken + limit)
        Classifier(session, digest="")
    except RUNTIME_ERRORS as error:
        limited = f" with {limit >> 20:,} MB of memory" if "alloc" in str(error) else ""
        return f"onnxruntime cannot load it{limited}: {error}"
    except ValueError as error:  # a ContractError, or metadata that is not UTF-8
        return str(error)
    return None


def _pixels(session: onnxruntime.InferenceSession) -> int:
    """Return the pixels of an image, if the graph takes one; the classifier checks that."""
    inputs = session.get_inputs()
    sizes = [size for size in inputs[0].shape[1:3] if isinstance(size, int)] if inputs else []
    return min(math.prod(sizes), MAX_INPUT_PIXELS)


if __name__ == "__main__":
    main()
