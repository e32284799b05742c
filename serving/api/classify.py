"""POST /classify: images in, predictions out."""

import re

from flask import Blueprint, request
from werkzeug.datastructures import MultiDict

from serving.answers import Prediction, Question, answer
from serving.api.uploads import Limits, read_uploads
from serving.deadline import Deadline
from serving.errors import BadRequest, Refusal
from serving.repository import Repository
from serving.settings import Settings

TOP_K = re.compile(r"0*([1-9][0-9]*)")
TRUTH = {"true": True, "1": True, "false": False, "0": False, "": False}

Answer = dict[str, list[Prediction | dict[str, object]]]


def blueprint(repository: Repository, settings: Settings) -> Blueprint:
    """Return the routes that classify."""
    api = Blueprint("classify", __name__)
    limits = Limits(settings.max_body, settings.max_images, Deadline(settings.body_seconds))

    @api.post("/classify")
    def classify() -> Answer:
        question = read_question(request.args)
        uploads = read_uploads(request, limits)
        answers = answer(uploads, question, repository, settings.max_pixels)
        refusals = [item for item in answers if isinstance(item, Refusal)]
        if len(refusals) == len(answers):
            raise refusals[0]
        return {"predictions": [{"error": x.problem()} if isinstance(x, Refusal) else x for x in answers]}

    return api


def read_question(query: MultiDict[str, str]) -> Question:
    """Read the query parameters; raises BadRequest naming the one that is malformed."""
    model, colon, version = query.get("model", "").partition(":")
    if colon and not (model and version):
        raise BadRequest(f"model={query['model'][:120]!r} is neither NAME nor NAME:VERSION.")
    seen = query.get("seen", "")
    if seen.lower() not in TRUTH:
        raise BadRequest(f"seen={seen!r} is neither true nor false.")
    return Question(model or None, version, _top_k(query.get("top_k") or "5"), TRUTH[seen.lower()])


def _top_k(text: str) -> int:
    digits = TOP_K.fullmatch(text)
    if digits is None:
        raise BadRequest(f"top_k={text[:20]!r} is not a whole number from 1 on.")
    return int(digits[1][:9])  # more than nine digits are more than any number of classes
