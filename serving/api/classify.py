"""POST /classify: images in, predictions out."""

from time import perf_counter
from typing import Any

import msgspec
from flask import Blueprint, Response, request

from serving.api.intake import Intake
from serving.api.query import read_options
from serving.api.replies import Reply, prediction_headers
from serving.api.uploads import read_uploads
from serving.errors import Refusal
from serving.inference.options import PredictOptions
from serving.inference.predictor import Predictor
from serving.inference.timings import TIMINGS_KEY

PATH = "/classify"


class Classify:
    """The view: takes a WSGI environ, returns the reply. Raises Refusal."""

    def __init__(self, predictor: Predictor, intake: Intake) -> None:
        self._predictor = predictor
        self._intake = intake

    def __call__(self, environ: dict[str, Any]) -> Reply:
        """Classify each image of a request, or refuse them all."""
        start, options = perf_counter(), read_options(environ["QUERY_STRING"])
        try:
            return self._answer(environ, options)
        except Refusal as refusal:
            self._predictor.record_refusal(options, refusal, perf_counter() - start)
            raise

    def _answer(self, environ: dict[str, Any], options: PredictOptions) -> Reply:
        with self._intake.reserve_memory(environ):
            uploads = read_uploads(environ, self._intake)
            arrived = perf_counter()
            with self._intake.admission.admit(len(uploads)):
                predictions = self._predictor.predict(uploads, options, perf_counter() - arrived)
        environ[TIMINGS_KEY] = predictions.timings
        refusals = [item for item in predictions.items if isinstance(item, Refusal)]
        if len(refusals) == len(predictions.items):
            raise refusals[0]
        items = [{"error": item.problem()} if isinstance(item, Refusal) else item for item in predictions.items]
        headers = prediction_headers(predictions.classifiers, predictions.timings)
        return Reply(msgspec.json.encode({"predictions": items}), headers=headers)


def blueprint(view: Classify) -> Blueprint:
    """Return the route that classifies."""
    api = Blueprint("classify", __name__)

    @api.post(PATH)
    def classify() -> Response:
        return view(request.environ).flask()

    return api
