"""POST /classify: images in, predictions out."""

import re
from collections.abc import Iterable
from functools import lru_cache
from time import perf_counter
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from flask import Blueprint, Response, request

from serving.inference.admission import Admission
from serving.inference.predictor import Desk
from serving.api.replies import Reply
from serving.api.uploads import Limits, held, read_uploads
from serving.model.classifier import Classifier
from serving.errors import BadRequest, Refusal
from serving.inference.options import Question
from serving.inference.timings import STAGES

PATH = "/classify"
TOP_K = re.compile(r"0*([1-9][0-9]*)")
DECIMAL = re.compile(r"0?\.[0-9]{1,20}")
LEAST_COVERAGE, MOST_COVERAGE = 0.8, 0.99
MODEL_HEADER = "Thimble-Model"
TRUTH = {"true": True, "1": True, "false": False, "0": False, "": False}


class Classify:
    """The view: a request with images in, the answer out. Raises Refusal."""

    def __init__(self, desk: Desk, limits: Limits, admission: Admission) -> None:
        self._desk = desk
        self._limits = limits
        self._admission = admission

    def __call__(self, environ: dict[str, Any]) -> Reply:
        """Answer each image of a request, given by its environment of WSGI, or refuse them all."""
        start, question = perf_counter(), read_question(environ["QUERY_STRING"])
        try:
            return self._answer(environ, question)
        except Refusal as refusal:
            self._desk.refused(question, refusal, perf_counter() - start)
            raise

    def _answer(self, environ: dict[str, Any], question: Question) -> Reply:
        with held(environ, self._limits):
            uploads = read_uploads(environ, self._limits)
            arrived = perf_counter()
            with self._admission.admit(len(uploads)):
                answers = self._desk.answer(uploads, question, perf_counter() - arrived)
        environ[STAGES] = answers.stages
        refusals = [item for item in answers.items if isinstance(item, Refusal)]
        if len(refusals) == len(answers.items):
            raise refusals[0]
        items = [{"error": item.problem()} if isinstance(item, Refusal) else item for item in answers.items]
        headers = {MODEL_HEADER: named(answers.classifiers), "Server-Timing": answers.stages.header()}
        return Reply(msgspec.json.encode({"predictions": items}), headers=headers)


def blueprint(view: Classify) -> Blueprint:
    """Return the route that classifies."""
    api = Blueprint("classify", __name__)

    @api.post(PATH)
    def classify() -> Response:
        return view(request.environ).flask()

    return api


def named(classifiers: Iterable[Classifier]) -> str:
    """Return what names the files that gave an answer, so that it can be asked for again."""
    return ", ".join(f"{c.card.name}:{c.card.version}@{c.digest}" for c in classifiers)


@lru_cache(maxsize=256)  # a client asks the same again and again
def read_question(query_string: str) -> Question:
    """Read the query parameters; raises BadRequest naming the one that is malformed."""
    query: dict[str, str] = {}
    for name, value in parse_qsl(query_string.encode("latin-1").decode("utf-8", "replace"), keep_blank_values=True):
        query.setdefault(name, value)
    model, colon, version = query.get("model", "").partition(":")
    if colon and not (model and version):
        raise BadRequest(f"model={query['model'][:120]!r} is neither NAME nor NAME:VERSION.")
    seen = query.get("seen", "")
    if seen.lower() not in TRUTH:
        raise BadRequest(f"seen={seen[:20]!r} is neither true nor false.")
    top_k, coverage = _top_k(query.get("top_k") or "5"), _coverage(query.get("coverage", ""))
    return Question(model or None, version, top_k, coverage, TRUTH[seen.lower()])


def _coverage(text: str) -> float | None:
    if not text:
        return None
    if not DECIMAL.fullmatch(text) or not LEAST_COVERAGE <= float(text) <= MOST_COVERAGE:
        raise BadRequest(
            f"coverage={text[:20]!r} is not a number from {LEAST_COVERAGE:g} to {MOST_COVERAGE:g}; 0.9 asks for sets "
            "of labels that hold the true one nine times out of ten."
        )
    return float(text)


def _top_k(text: str) -> int:
    digits = TOP_K.fullmatch(text)
    if digits is None:
        raise BadRequest(f"top_k={text[:20]!r} is not a whole number from 1 on.")
    return int(digits[1][:9])  # more than nine digits are more than any number of classes
