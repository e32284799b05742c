"""The limit of the machine: what serving does to an image, in a loop, with no HTTP around it."""

import multiprocessing
import time
from pathlib import Path

import msgspec
import numpy as np
from PIL import Image

from serving.model.classifier import Classifier
from serving.imaging.decoding import PixelBudget, decode, read_header
from serving.imaging.preprocessing import preprocess
from serving.imaging.png import to_png

PROCESSES = 2
SECONDS = 2


def images_per_second(models: Path, name: str, batch: int) -> float:
    """Return how many PNGs two processes decode, classify in batches of this size and write as JSON in a second."""
    with multiprocessing.get_context("spawn").Pool(PROCESSES) as pool:
        return sum(pool.starmap(_work, [(models / name / "1" / "model.onnx", batch)] * PROCESSES))


def _work(file: Path, batch: int) -> float:
    classifier = Classifier.open(file)
    shape = (classifier.height, classifier.width, classifier.channels)
    small = np.random.default_rng(0).integers(0, 256, (8, 8, classifier.channels), np.uint8)
    image = Image.fromarray(small.squeeze()).resize(shape[1::-1], Image.Resampling.BICUBIC)
    png = to_png(np.asarray(image).reshape(shape))
    done, start = 0, time.perf_counter()
    while (passed := time.perf_counter() - start) < SECONDS:
        pictures = [decode(png, PixelBudget(shape[0] * shape[1])) for _ in range(batch)]
        pixels = np.stack([preprocess(picture, classifier.card.fit, *shape).pixels for picture in pictures])
        outputs = classifier.run(pixels)
        best = outputs.probabilities.argmax(1).tolist()
        msgspec.json.encode([{"label": classifier.card.labels[index]} for index in best])
        done += batch
    return done / passed
