"""POST /explain: which pixels of an image mattered for its label."""

from collections.abc import Sequence
from functools import partial
from time import perf_counter, time

from flask import Blueprint, Response, jsonify, request
from msgspec import Struct

from serving.inference.admission import Admission
from serving.inference.predictor import Desk, Prepared, Upload
from serving.api.classify import MODEL_HEADER, named, read_question
from serving.api.uploads import Limits, held, read_uploads
from serving.model.classifier import Classifier
from serving.model.card import ModelCard
from serving.errors import BadRequest, Refusal
from serving.inference.occlusion import Explanation, explain, overlay
from serving.imaging.png import data_url
from serving.inference.options import Question
from serving.inference.timings import STAGES, Batch, Stages

COST = 64  # images in flight that an explanation counts as: about as many windows are covered


class Explained(Struct, frozen=True, kw_only=True):
    """How much the probability of a label falls when a window of the input is covered.

    window: its height and width in pixels of the input. grid: the fall by the window's place, row by row. overlay: the
    same as a PNG to lay over the upright upload.
    """

    model: str
    version: str
    label: str
    index: int
    probability: float
    window: tuple[int, int]
    grid: list[list[float]]
    overlay: str
    fit: tuple[str, ...]


def blueprint(desk: Desk, limits: Limits, admission: Admission) -> Blueprint:
    """Return the route that explains."""
    api = Blueprint("explain", __name__)

    @api.post("/explain")
    def explain_one() -> Response:
        question = read_question(request.environ["QUERY_STRING"])
        with held(request.environ, limits):
            uploads = read_uploads(request.environ, limits)
            if len(uploads) > 1:
                raise BadRequest(f"One image is explained at a time; the request has {len(uploads)}.")
            with admission.admit(COST):
                stages = request.environ[STAGES] = Stages()
                explained, classifier = _explained(desk, uploads, question, request.args.get("label"), stages)
        response = jsonify(explained)
        response.headers.extend({MODEL_HEADER: named([classifier]), "Server-Timing": stages.header()})
        return response

    return api


def _explained(
    desk: Desk, uploads: Sequence[Upload], question: Question, label: str | None, stages: Stages
) -> tuple[Explained, Classifier]:
    (prepared,) = desk.prepare(uploads, question, stages)
    if isinstance(prepared, Refusal):
        raise prepared
    classifier, seen = prepared.classifier, prepared.input
    card = classifier.card
    explanation, png, stages.infer = desk.one_by_one(partial(_explanation, prepared, _index(card, label)))
    stages.batches.append(Batch(classifier, len(uploads), stages.infer, time()))
    explained = Explained(
        model=card.name,
        version=card.version,
        label=card.labels[explanation.index],
        index=explanation.index,
        probability=round(explanation.probability, 6),
        window=explanation.window,
        grid=[[round(fall, 6) for fall in row] for row in explanation.grid.tolist()],
        overlay=data_url(png),
        fit=seen.done,
    )
    return explained, classifier


def _explanation(prepared: Prepared, index: int | None) -> tuple[Explanation, bytes, float]:
    """Return the explanation of a label, its overlay as a PNG, and how many seconds the graph took."""
    start, seen = perf_counter(), prepared.input
    explanation = explain(prepared.classifier, seen.pixels, index)
    seconds = perf_counter() - start
    return explanation, overlay(explanation.heat, seen.view, seen.size), seconds


def _index(card: ModelCard, label: str | None) -> int | None:
    """Return the place of the label that is asked about; None leaves it to the model. Raises BadRequest."""
    if label is None:
        return None
    if label not in card.labels:
        raise BadRequest(f"label={label[:120]!r} is none of {card.name}'s; there are: {', '.join(card.labels)}.")
    return card.labels.index(label)
