"""The view that answers inference requests: every limit of /classify holds here too."""

from collections.abc import Sequence
from dataclasses import replace
from time import perf_counter

import numpy as np
from flask import Request
from numpy.typing import NDArray

from serving.inference.admission import Admission
from serving.inference.predictor import Desk, Prepared
from serving.api.classify import MODEL_HEADER, named
from serving.api.replies import Reply
from serving.api.uploads import Limits
from serving.api.v2.compression import compressed, read_content
from serving.api.v2.replies import write_inference
from serving.api.v2.requests import JSON_LENGTH, Inference, read_inference
from serving.model.classifier import Classifier
from serving.errors import Refusal
from serving.inference.options import Question
from serving.repository.repository import Repository
from serving.inference.timings import STAGES, Stages


class Infer:
    """A request with tensors in, the answer out. Raises Refusal."""

    def __init__(self, repository: Repository, desk: Desk, limits: Limits, admission: Admission) -> None:
        self._repository = repository
        self._desk = desk
        self._limits = limits
        self._admission = admission

    def __call__(self, request: Request, name: str, version: str) -> Reply:
        """Answer with what this version of a model, or the answering one, makes of all images."""
        start = perf_counter()
        try:
            return compressed(self._answer(request, name, version), request)
        except Refusal as refusal:
            self._desk.refused(Question(name, version), refusal, perf_counter() - start)
            raise

    def _answer(self, request: Request, name: str, version: str) -> Reply:
        with read_content(request, self._limits) as content:
            start, classifier = perf_counter(), self._repository.named(name, version)
            inference = read_inference(content, request.headers.get(JSON_LENGTH), classifier, self._limits)
            arrived = perf_counter()
            with self._admission.admit(len(inference.images)):
                stages = Stages(decode=arrived - start, wait=perf_counter() - arrived)
                request.environ[STAGES] = stages
                return self._ask(classifier, inference, stages)

    def _ask(self, classifier: Classifier, inference: Inference, stages: Stages) -> Reply:
        images = inference.images
        if not isinstance(images, np.ndarray):
            images = _pixels(self._desk.prepare_for(classifier, images, stages))
        outputs = self._desk.run(classifier, images, stages)
        start = perf_counter()
        reply = write_inference(inference, classifier, outputs)
        stages.answer = perf_counter() - start
        self._desk.done(stages)
        headers = {MODEL_HEADER: named([classifier]), "Server-Timing": stages.header()}
        return replace(reply, headers={**reply.headers, **headers})


def _pixels(images: Sequence[Prepared | Refusal]) -> NDArray[np.uint8]:
    """Return the pixels of all images; raises the refusal of the first bad one: a tensor has no place for it."""
    inputs = []
    for place, image in enumerate(images, start=1):
        if isinstance(image, Refusal):
            raise type(image)(f"Image {place} of {len(images)}: {image}") from image
        inputs.append(image.input.pixels)
    return np.stack(inputs)
