"""The limit of the machine: the work of serving an image, in a loop, without HTTP."""

import multiprocessing
import time
from pathlib import Path

import msgspec
import numpy as np

from benchmarks.newest import newest
from benchmarks.uploads import sample_png
from serving.imaging.decoding import PixelBudget, decode, read_header
from serving.imaging.preprocessing import preprocess
from serving.model.classifier import Classifier

PROCESSES = 2
SECONDS = 2


def images_per_second(models: Path, name: str, batch: int) -> float:
    """Return the PNGs a second that two processes decode, classify in batches of this size and answer in JSON.

    They run the model's highest version, which is the one that the service answers with.
    """
    file = newest(models, name)
    with multiprocessing.get_context("spawn").Pool(PROCESSES) as pool:
        return sum(pool.starmap(_work, [(file, batch)] * PROCESSES))


def _work(file: Path, batch: int) -> float:
    classifier = Classifier.open(file)
    png = sample_png(classifier.shape)
    done, start = 0, time.perf_counter()
    while (passed := time.perf_counter() - start) < SECONDS:
        decoded = [decode(read_header(png, PixelBudget(classifier.height * classifier.width))) for _ in range(batch)]
        pixels = np.stack([preprocess(each, classifier.card.fit, *classifier.shape).pixels for each in decoded])
        outputs = classifier.run(pixels)
        top = outputs.probabilities.argmax(1).tolist()
        msgspec.json.encode([{"label": classifier.card.labels[index]} for index in top])
        done += batch
    return done / passed
