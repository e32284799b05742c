"""A score inside the graph that says how unlike the training data an image is.

From what a trained network makes of an image, some scores are computed that are known to grow with foreign images: the
distance of each layer's maps from those of training images, the distance of the features from the nearest label's
(Mahalanobis; Lee et al. 2018), from those of all, whose ratio is what counts (Ren et al. 2021), and the energy of the
logits (Liu et al. 2020). A logistic regression weighs them, fitted on held-out images against outliers of our own
making. No foreign data set has a part in it.
"""

from typing import Self

import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from training.networks import Observed

DIRECTIONS = 16  # of a layer's maps: on outliers of our own making as good as all of them, and small
FLOOR = 1e-4  # added to the variances of standardised values, so that no direction counts without end
FLAGGED = 0.05  # the share of held-out images that the threshold takes for novel
REGULARISATION = 0.1  # of the logistic regression: scikit-learn's C
SMALLEST_SPREAD = 1e-6


class Distance(nn.Module):
    """Mahalanobis distance [n, 1] of values [n, d] from their mean, along their principal directions."""

    def __init__(self, values: Tensor, most: int | None = None) -> None:
        """Take the mean of training values [n, d], and this many of the directions in which they differ most."""
        super().__init__()
        self.whiten = _whitening(values, values.mean(0), most)

    def forward(self, values: Tensor) -> Tensor:
        distance: Tensor = torch.linalg.vector_norm(self.whiten(values), dim=1, keepdim=True)
        return distance


class NearestDistance(nn.Module):
    """The least of the Mahalanobis distances [n, 1] of values [n, d] from the means of the labels."""

    def __init__(self, values: Tensor, labels: Tensor) -> None:
        """values [n, d] and labels [n] of training images; their covariance is that around the labels' means."""
        super().__init__()
        present = labels.unique()
        means = torch.stack([values[labels == label].mean(0) for label in present])
        self.whiten = _whitening(values, means[torch.searchsorted(present, labels)])
        centres = self.whiten(means)
        # |a - b|^2 = |a|^2 + (|b|^2 - 2 a b): what is in brackets is linear in a.
        self.to_centres = _linear(-2 * centres, centres.square().sum(1))

    def forward(self, values: Tensor) -> Tensor:
        placed = self.whiten(values)
        squared = placed.square().sum(1, keepdim=True) + self.to_centres(placed).amin(1, keepdim=True)
        distance: Tensor = squared.clamp_min(0).sqrt()
        return distance


class Novelty(nn.Module):
    """From what a network observed to novelty [n], between 0 and 1; above 0.5 lies what is called novel."""

    def __init__(self, training: Observed, labels: Tensor, temperature: float) -> None:
        """Take the measures of training images; fit() has yet to weigh the scores."""
        super().__init__()
        self.maps = nn.ModuleList(Distance(means, DIRECTIONS) for means in training.maps)
        self.nearest = NearestDistance(training.features, labels)
        self.all = Distance(training.features)
        self.temperature = temperature
        self.weigh = nn.Linear(len(self.maps) + 3, 1)

    def fit(self, held: Observed, outliers: Observed) -> Self:
        """Weigh the scores so that they tell outliers from held-out images best, and set the threshold."""
        own, foreign = self.scores(held).double(), self.scores(outliers).double()
        spread = own.std(0, correction=0).clamp_min(SMALLEST_SPREAD)
        standard = torch.cat([own, foreign]) / spread
        novel = torch.arange(len(standard)) >= len(own)
        regression = LogisticRegression(C=REGULARISATION, class_weight="balanced", max_iter=1_000)
        regression.fit((standard - standard.mean(0)).numpy(), novel.numpy())
        weights = torch.from_numpy(regression.coef_[0]) / spread
        logits = own @ weights
        # Novelty 0.5 at the threshold, and as steep as the held-out images differ: beyond that all would be 0 or 1.
        steepness = 1 / logits.std(correction=0).clamp_min(SMALLEST_SPREAD)
        self.weigh = _linear((weights * steepness)[None], -(logits * steepness).quantile(1 - FLAGGED)[None])
        return self

    def scores(self, observed: Observed) -> Tensor:
        """Return the scores [n, count], each larger for what is less like the training images."""
        distances = [distance(means) for distance, means in zip(self.maps, observed.maps, strict=True)]
        distances += [self.nearest(observed.features), self.all(observed.features)]
        energy = -torch.logsumexp(observed.logits / self.temperature, dim=1, keepdim=True)
        return torch.cat([torch.cat(distances, 1).log1p(), energy], 1)

    def forward(self, observed: Observed) -> Tensor:
        return torch.sigmoid(self.weigh(self.scores(observed))).squeeze(1)


def _whitening(values: Tensor, means: Tensor, most: int | None = None) -> nn.Linear:
    """Return what takes values [n, d] to [n, k]: their mean to 0, and their variance around these means to 1.

    k: of the directions in which they differ, at most so many, the largest.
    """
    spread = values.std(0, correction=0).clamp_min(SMALLEST_SPREAD)
    standard = ((values - means) / spread).double()
    variances, directions = torch.linalg.eigh(standard.T @ standard / len(standard))
    kept = slice(-most if most else None, None)
    scaled = directions[:, kept] / (variances[kept].clamp_min(0) + FLOOR).sqrt() / spread[:, None]
    return _linear(scaled.T, -values.mean(0).double() @ scaled)


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    """Return the layer with this weight [k, d] and bias [k], which nothing trains any more."""
    layer = nn.Linear(weight.shape[1], len(weight))
    layer.weight = nn.Parameter(weight.float().contiguous(), requires_grad=False)
    layer.bias = nn.Parameter(bias.float().contiguous(), requires_grad=False)
    return layer
