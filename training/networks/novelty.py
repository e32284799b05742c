"""A score inside the graph that says how unlike the training data an image is.

The score combines several distances that are known to grow for out-of-distribution images: the distance of each layer's
feature maps from those of training images, the distance of the penultimate features from the nearest label's mean
(Mahalanobis; Lee et al. 2018) and from the mean of all (their ratio is what counts; Ren et al. 2021), and the energy of
the logits (Liu et al. 2020). A logistic regression weighs them. It is fitted on validation images and on synthetic
outliers. Out-of-distribution data sets have no part in it.
"""

from typing import Self

import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from training.networks.base import Features

DIRECTIONS = 16  # of a layer's feature maps: as good as all of them on the synthetic outliers, and small
VARIANCE_FLOOR = 1e-4  # added to the variances of standardized values, so that no direction counts without limit
FLAGGED_SHARE = 0.05  # of the validation images that the threshold calls novel
REGULARIZATION = 0.1  # of the logistic regression: scikit-learn's C
MIN_DEVIATION = 1e-6


class Distance(nn.Module):
    """Mahalanobis distance [n, 1] of values [n, d] from their mean, along their principal directions."""

    def __init__(self, values: Tensor, directions: int | None = None) -> None:
        """values: [n, d] of training images. directions: how many of the largest principal ones to take; None: all."""
        super().__init__()
        self.whiten = _whitening(values, values.mean(0), directions)

    def forward(self, values: Tensor) -> Tensor:
        distance: Tensor = torch.linalg.vector_norm(self.whiten(values), dim=1, keepdim=True)
        return distance


class NearestDistance(nn.Module):
    """The smallest of the Mahalanobis distances [n, 1] of values [n, d] from the means of the labels."""

    def __init__(self, values: Tensor, labels: Tensor) -> None:
        """values [n, d] and labels [n] of training images; the covariance is taken around the labels' means."""
        super().__init__()
        present = labels.unique()
        means = torch.stack([values[labels == label].mean(0) for label in present])
        self.whiten = _whitening(values, means[torch.searchsorted(present, labels)])
        centres = self.whiten(means)
        # |a - b|^2 = |a|^2 + (|b|^2 - 2 a b): the part in parentheses is linear in a.
        self.to_centres = _linear(-2 * centres, centres.square().sum(1))

    def forward(self, values: Tensor) -> Tensor:
        whitened = self.whiten(values)
        squared = whitened.square().sum(1, keepdim=True) + self.to_centres(whitened).amin(1, keepdim=True)
        distance: Tensor = squared.clamp_min(0).sqrt()
        return distance


class NoveltyScore(nn.Module):
    """From a network's features to novelty [n], between 0 and 1; an image above 0.5 is called novel."""

    def __init__(self, train: Features, labels: Tensor, temperature: float) -> None:
        """Measure the features of training images with labels [n]; fit() has yet to weigh the distances."""
        super().__init__()
        self.maps = nn.ModuleList(Distance(means, DIRECTIONS) for means in train.maps)
        self.nearest = NearestDistance(train.penultimate, labels)
        self.all = Distance(train.penultimate)
        self.temperature = temperature
        self.weigh = nn.Linear(len(self.maps) + 3, 1)

    def fit(self, validation: Features, outliers: Features) -> Self:
        """Weigh the distances so that they best separate outliers from validation images, and set the threshold."""
        known, novel = self.distances(validation).double(), self.distances(outliers).double()
        deviation = known.std(0, correction=0).clamp_min(MIN_DEVIATION)
        standard = torch.cat([known, novel]) / deviation
        is_novel = torch.arange(len(standard)) >= len(known)
        regression = LogisticRegression(C=REGULARIZATION, class_weight="balanced", max_iter=1_000)
        regression.fit((standard - standard.mean(0)).numpy(), is_novel.numpy())
        weights = torch.from_numpy(regression.coef_[0]) / deviation
        logits = known @ weights
        # Novelty is 0.5 at the threshold. The spread of the validation images sets the slope: in a steeper curve
        # nearly all values would be 0 or 1.
        slope = 1 / logits.std(correction=0).clamp_min(MIN_DEVIATION)
        self.weigh = _linear((weights * slope)[None], -(logits * slope).quantile(1 - FLAGGED_SHARE)[None])
        return self

    def distances(self, features: Features) -> Tensor:
        """Return the distances [n, count]: each is larger for an image less like the training images."""
        distances = [distance(means) for distance, means in zip(self.maps, features.maps, strict=True)]
        distances += [self.nearest(features.penultimate), self.all(features.penultimate)]
        energy = -torch.logsumexp(features.logits / self.temperature, dim=1, keepdim=True)
        return torch.cat([torch.cat(distances, 1).log1p(), energy], 1)

    def forward(self, features: Features) -> Tensor:
        return torch.sigmoid(self.weigh(self.distances(features))).squeeze(1)


def _whitening(values: Tensor, means: Tensor, directions: int | None = None) -> nn.Linear:
    """Return the layer that takes values [n, d] to [n, k]: their mean to 0, their variance around these means to 1.

    k: the number of principal directions that are kept, the largest ones; directions: at most so many.
    """
    deviation = values.std(0, correction=0).clamp_min(MIN_DEVIATION)
    standard = ((values - means) / deviation).double()
    variances, vectors = torch.linalg.eigh(standard.T @ standard / len(standard))
    kept = slice(-directions if directions else None, None)
    scaled = vectors[:, kept] / (variances[kept].clamp_min(0) + VARIANCE_FLOOR).sqrt() / deviation[:, None]
    return _linear(scaled.T, -values.mean(0).double() @ scaled)


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    """Return a layer with this weight [k, d] and bias [k], both frozen."""
    layer = nn.Linear(weight.shape[1], len(weight))
    layer.weight = nn.Parameter(weight.float().contiguous(), requires_grad=False)
    layer.bias = nn.Parameter(bias.float().contiguous(), requires_grad=False)
    return layer
