"""The inputs that models take of one decoded image, each made once."""

from time import perf_counter

from serving.imaging.decoding import DecodedImage
from serving.imaging.preprocessing import ModelInput, preprocess
from serving.inference.timings import Timings
from serving.model.classifier import Classifier


class ModelInputs:
    """Makes a decoded image the input of a model. Models looked at to choose one and the chosen one share the work."""

    def __init__(self, decoded: DecodedImage, timings: Timings) -> None:
        """timings: is told the time that preprocessing takes."""
        self.decoded = decoded
        self.timings = timings
        self._made: dict[Classifier, ModelInput] = {}

    def of(self, classifier: Classifier) -> ModelInput:
        """Return the image as this model's input."""
        if classifier not in self._made:
            start = perf_counter()
            self._made[classifier] = preprocess(self.decoded, classifier.card.fit, *classifier.shape)
            self.timings.fit += perf_counter() - start
        return self._made[classifier]
