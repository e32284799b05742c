"""The options of a request for predictions, whichever protocol it came in."""

from dataclasses import dataclass

from serving.errors import BadRequest
from serving.model.card import ModelCard
from serving.model.conformal import Level


@dataclass(frozen=True)
class PredictOptions:
    """The options of a request; without a model, each image goes to the default model that suits it.

    label: the one to explain; None is the most probable.
    """

    model: str | None = None
    version: str = ""
    top_k: int = 5
    coverage: float | None = None
    seen: bool = False
    label: str | None = None

    def level(self, card: ModelCard) -> Level:
        """Return the conformal level for the coverage; raises BadRequest when it is beyond the card's highest."""
        conformal, coverage = card.conformal, self.coverage
        level = conformal.default if coverage is None else conformal.level(coverage)
        if level is None:
            highest = max(level.coverage for level in (*conformal.levels, conformal.default))
            raise BadRequest(
                f"coverage={coverage:g} is more than the model {card.name!r} was calibrated for: {highest:g}."
            )
        return level
