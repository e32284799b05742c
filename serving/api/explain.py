"""POST /explain: which pixels of an image mattered for its label."""

from functools import partial
from time import perf_counter
from wsgiref.types import WSGIEnvironment

from flask import Blueprint, Response, jsonify, request
from msgspec import UNSET, Struct, UnsetType

from serving.api.image_request import read_request
from serving.api.intake import Intake
from serving.api.query import EXPLAIN_PARAMETERS
from serving.api.replies import prediction_headers
from serving.api.uploads import Uploads
from serving.concurrency import SerialExecutor
from serving.errors import BadRequest, Refusal
from serving.imaging.png import data_url
from serving.inference.failures import failures_refused
from serving.inference.occlusion import Explanation, explain, overlay
from serving.inference.options import PredictOptions
from serving.inference.predictor import Predictor, PreparedInput
from serving.inference.timings import TIMINGS_KEY, Timings
from serving.model.card import ModelCard
from serving.model.classifier import Classifier


class Explained(Struct, frozen=True, kw_only=True):
    """The fall of a label's probability when a window of the input is covered.

    window: its height and width in pixels of the input. grid: the fall by the window's place, row by row. overlay: the
    same as a PNG to lay over the upright upload. file: the image's file name in a form.
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
    file: str | UnsetType = UNSET


class Explain:
    """The view: takes a WSGI environ, returns the response. Raises Refusal."""

    def __init__(self, predictor: Predictor, intake: Intake) -> None:
        self._predictor = predictor
        self._intake = intake
        self._executor = SerialExecutor(intake.admission.timeout)  # of its own: classifying waits for no explanation

    def __call__(self, environ: WSGIEnvironment) -> Response:
        """Explain the image of a request."""
        with read_request(environ, self._predictor, self._intake, EXPLAIN_PARAMETERS) as (uploads, options):
            return self._answer(environ, uploads, options)

    def _answer(self, environ: WSGIEnvironment, uploads: Uploads, options: PredictOptions) -> Response:
        if len(uploads.images) > 1:
            raise BadRequest(f"The request has {len(uploads.images)} images; one is explained at a time.")
        self._intake.charge(environ, 1)
        arrived = perf_counter()
        with self._intake.admission.admit_explanation():
            timings = environ[TIMINGS_KEY] = Timings(wait=perf_counter() - arrived)
            explained, classifier = self._explain(uploads, options, timings)
        self._predictor.record_done(timings)
        response = jsonify(explained)
        response.headers.extend(prediction_headers([classifier], timings))
        return response

    def _explain(self, uploads: Uploads, options: PredictOptions, timings: Timings) -> tuple[Explained, Classifier]:
        predictor = self._predictor
        (prepared,) = predictor.prepare(uploads.images, predictor.named(options), timings)
        if isinstance(prepared, Refusal):
            raise uploads.advise(prepared)
        classifier, model_input = prepared.classifier, prepared.input
        card = classifier.card
        work = partial(_run_explanation, prepared, _index(card, options.label))
        with failures_refused(classifier):
            explanation, png, seconds = self._executor.run(work)
        timings.add_run(classifier, 1, seconds)
        explained = Explained(
            model=card.name,
            version=card.version,
            label=card.labels[explanation.index],
            index=explanation.index,
            probability=round(explanation.probability, 6),
            window=explanation.window,
            grid=[[round(fall, 6) for fall in row] for row in explanation.grid.tolist()],
            overlay=data_url(png),
            fit=model_input.steps,
            file=uploads.files.get(0, UNSET),
        )
        return explained, classifier


def blueprint(predictor: Predictor, intake: Intake) -> Blueprint:
    """Return the route that explains."""
    api, view = Blueprint("explain", __name__), Explain(predictor, intake)

    @api.post("/explain")
    def explain_one() -> Response:
        return view(request.environ)

    return api


def _run_explanation(prepared: PreparedInput, index: int | None) -> tuple[Explanation, bytes, float]:
    """Return the explanation of a label, its overlay as a PNG, and the seconds that the graph took."""
    start, model_input = perf_counter(), prepared.input
    explanation = explain(prepared.classifier, model_input.pixels, index)
    seconds = perf_counter() - start
    return explanation, overlay(explanation.heat, model_input.view, model_input.size), seconds


def _index(card: ModelCard, label: str | None) -> int | None:
    """Return the index of the label to explain; None means the most probable. Raises BadRequest."""
    if label is None:
        return None
    if label not in card.labels:
        raise BadRequest(f"label={label[:120]!r} is not a label of {card.name}. Labels: {', '.join(card.labels)}.")
    return card.labels.index(label)
