"""POST /classify: images in, predictions out."""

import re
from collections.abc import Iterable

from flask import Blueprint, Response, jsonify, request
from werkzeug.datastructures import MultiDict

from serving.answers import Desk, Question
from serving.api.uploads import Limits, read_uploads
from serving.classifier import Classifier
from serving.errors import BadRequest, Refusal

TOP_K = re.compile(r"0*([1-9][0-9]*)")
DECIMAL = re.compile(r"0?\.[0-9]{1,20}")
LEAST_COVERAGE, MOST_COVERAGE = 0.8, 0.99
MODEL_HEADER = "Thimble-Model"
TRUTH = {"true": True, "1": True, "false": False, "0": False, "": False}


def blueprint(desk: Desk, limits: Limits) -> Blueprint:
    """Return the routes that classify."""
    api = Blueprint("classify", __name__)

    @api.post("/classify")
    def classify() -> Response:
        question = read_question(request.args)
        answers = desk.answer(read_uploads(request, limits), question)
        refusals = [item for item in answers.items if isinstance(item, Refusal)]
        if len(refusals) == len(answers.items):
            raise refusals[0]
        items = [{"error": x.problem()} if isinstance(x, Refusal) else x for x in answers.items]
        return with_models(jsonify({"predictions": items}), answers.classifiers)

    return api


def with_models(response: Response, classifiers: Iterable[Classifier]) -> Response:
    """Name the files that gave an answer in its head, so that it can be asked for again."""
    response.headers[MODEL_HEADER] = ", ".join(f"{c.card.name}:{c.card.version}@{c.digest}" for c in classifiers)
    return response


def read_question(query: MultiDict[str, str]) -> Question:
    """Read the query parameters; raises BadRequest naming the one that is malformed."""
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
