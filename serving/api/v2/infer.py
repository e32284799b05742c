"""The view that answers inference requests; every limit of /classify holds here too."""

from collections.abc import Sequence
from dataclasses import replace
from time import perf_counter

import numpy as np
from flask import Request
from numpy.typing import NDArray

from serving.api.content import read_content
from serving.api.intake import Intake
from serving.api.replies import Reply, prediction_headers
from serving.api.v2.compression import compress
from serving.api.v2.replies import write_inference
from serving.api.v2.requests import JSON_LENGTH, Inference, read_inference
from serving.errors import Refusal
from serving.inference.failures import failures_refused
from serving.inference.options import PredictOptions
from serving.inference.predictor import Predictor, PreparedInput
from serving.inference.timings import TIMINGS_KEY, Timings
from serving.model.classifier import Classifier
from serving.repository.repository import Repository


class Infer:
    """Takes a request with tensors, returns the reply. Raises Refusal."""

    def __init__(self, repository: Repository, predictor: Predictor, intake: Intake) -> None:
        self._repository = repository
        self._predictor = predictor
        self._intake = intake

    def __call__(self, request: Request, name: str, version: str) -> Reply:
        """Answer with the outputs of this version of a model, or of its answering one, for all images."""
        start = perf_counter()
        try:
            return compress(self._answer(request, name, version), request)
        except Refusal as refusal:
            self._predictor.record_refusal(PredictOptions(name, version), refusal, perf_counter() - start)
            raise

    def _answer(self, request: Request, name: str, version: str) -> Reply:
        with read_content(request.environ, self._intake) as content:
            start, classifier = perf_counter(), self._repository.named(name, version)
            inference = read_inference(content, request.headers.get(JSON_LENGTH), classifier, self._intake)
            self._intake.charge(request.environ, len(inference.images))
            arrived = perf_counter()
            with self._intake.admission.admit(len(inference.images)):
                timings = Timings(decode=arrived - start, wait=perf_counter() - arrived)
                request.environ[TIMINGS_KEY] = timings
                return self._infer(classifier, inference, timings)

    def _infer(self, classifier: Classifier, inference: Inference, timings: Timings) -> Reply:
        images = inference.images
        if not isinstance(images, np.ndarray):
            images = _stack(self._predictor.prepare(images, classifier, timings))
        with failures_refused(classifier):
            outputs = self._predictor.infer(classifier, images, timings)
        start = perf_counter()
        reply = write_inference(inference, classifier, outputs)
        timings.answer = perf_counter() - start
        self._predictor.record_done(timings)
        return replace(reply, headers={**reply.headers, **prediction_headers([classifier], timings)})


def _stack(images: Sequence[PreparedInput | Refusal]) -> NDArray[np.uint8]:
    """Return the pixels of all images; raises the refusal of the first bad one: a tensor has no place for it."""
    pixels = []
    for place, image in enumerate(images, start=1):
        if isinstance(image, Refusal):
            raise type(image)(f"Image {place} of {len(images)}: {image}") from image
        pixels.append(image.input.pixels)
    return np.stack(pixels)
