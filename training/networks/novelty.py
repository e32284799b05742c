"""A score inside the graph that says how unlike the training data an image is.

The score combines several distances that are known to grow for out-of-distribution images: the distance of the image
itself, reduced to a few blocks, and of each layer's feature maps from those of training images; the distance of the
penultimate features from the nearest label's mean (Mahalanobis; Lee et al. 2018), from the mean of all (their ratio is
what counts; Ren et al. 2021) and, where asked for, from the nearest of some training images (Sun et al. 2022); and the
energy of the logits (Liu et al. 2020). A logistic regression weighs them. Where asked for, a second one weighs the
penultimate features too, as outlier exposure does (Hendrycks et al. 2019) but with the network as it is, and their sum
is the score: the features find near things, and the distances those that no outlier is like. Both are fitted on
validation images and on synthetic outliers. Out-of-distribution data sets have no part in it.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.datasets.pixels import as_many, to_images
from training.networks.base import Features
from training.regression import fitted

BLOCKS = 8  # a side, at most, to which an image is reduced
DIRECTIONS = 16  # of a layer's feature maps: as good as all of them on the synthetic outliers, and small
PENULTIMATE_DIRECTIONS = 32  # likewise: more add nothing, and a wide network has 1,280
IMAGES_PER_DIRECTION = 5  # with fewer the last ones vary little by chance, and only new images lie far off in them
VARIANCE_FLOOR = 1e-4  # added to the variances of standardized values, so that no direction counts without limit
FLAGGED_SHARE = 0.05  # of the validation images that the threshold calls novel, unless photos set it
PHOTOS_WEIGHT = 0.8  # of the photos beside the validation images
# Of the logistic regressions: scikit-learn's C for the distances alone, and with REGULARIZED_FEATURES features. With N
# times as many, each of which tells less, it is N * N times as large.
REGULARIZATION, REGULARIZATION_WITH_FEATURES, REGULARIZED_FEATURES = 0.03, 1e-4, 256
IMAGES_AT_ONCE = 1_000  # small ones, where a score is fitted
MIN_DEVIATION = 1e-6
MIN_LENGTH = 1e-12
MIN_SQUARED_CHORD = 1e-4  # below this, rounding decides


class Sample(NamedTuple):
    """Images and what a network makes of them: pixels, uint8 [n, h, w, c], and their features."""

    pixels: Tensor
    features: Features

    def parts(self) -> Iterator["Sample"]:
        """Yield the images in parts: as floats, large ones all together take gigabytes."""
        maps, penultimate, logits = self.features
        size = as_many(IMAGES_AT_ONCE, self.pixels)
        for start in range(0, len(self.pixels), size):
            part = slice(start, start + size)
            features = Features(tuple(means[part] for means in maps), penultimate[part], logits[part])
            yield Sample(self.pixels[part], features)


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
        self.whiten = _whitening(values, means[torch.searchsorted(present, labels)], PENULTIMATE_DIRECTIONS)
        centres = self.whiten(means)
        # |a - b|^2 = |a|^2 + (|b|^2 - 2 a b): the part in parentheses is linear in a.
        self.to_centres = _linear(-2 * centres, centres.square().sum(1))

    def forward(self, values: Tensor) -> Tensor:
        whitened = self.whiten(values)
        squared = whitened.square().sum(1, keepdim=True) + self.to_centres(whitened).amin(1, keepdim=True)
        distance: Tensor = squared.clamp_min(0).sqrt()
        return distance


class NeighbourDistance(nn.Module):
    """The distance [n, 1] of values [n, d] from the nearest of some training images', all scaled to length 1."""

    def __init__(self, values: Tensor) -> None:
        """values: [count, d] of the training images."""
        super().__init__()
        self.cosines = _linear(_to_unit_length(values), torch.zeros(len(values)))

    def forward(self, values: Tensor) -> Tensor:
        nearest = self.cosines(_to_unit_length(values)).amax(1, keepdim=True)
        distance: Tensor = (2 - 2 * nearest).clamp_min(MIN_SQUARED_CHORD).sqrt()
        return distance


class NoveltyScore(nn.Module):
    """From images and a network's features to novelty [n], between 0 and 1; an image above 0.5 is called novel."""

    def __init__(
        self, train: Sample, labels: Tensor, temperature: float, neighbours: int = 0, weigh_features: bool = False
    ) -> None:
        """Measure training images with labels [n]; fit() has yet to weigh the distances.

        neighbours: how many of them, the first ones, an image may be near to; 0: that distance does not count.
        weigh_features: whether the penultimate features count too.
        """
        super().__init__()
        features = train.features
        self.blocks = Distance(torch.cat([_blocks(part.pixels) for part in train.parts()]))
        self.maps = nn.ModuleList(Distance(means, DIRECTIONS) for means in features.maps)
        self.nearest = NearestDistance(features.penultimate, labels)
        self.all = Distance(features.penultimate, PENULTIMATE_DIRECTIONS)
        self.neighbours = NeighbourDistance(features.penultimate[:neighbours]) if neighbours else None
        self.temperature = temperature
        self.weigh_features = weigh_features
        self.weigh: nn.Linear  # which fit() makes

    def fit(
        self, validation: Sample, outliers: Sample, photos: Sample | None = None, flagged: float = FLAGGED_SHARE
    ) -> Self:
        """Weigh the evidence so that it best separates outliers from validation images, and set the threshold.

        photos: others that are as little novel; where they are given they set the threshold. flagged: the share of the
        images that set it that is called novel.
        """
        known = [(self._measure(validation), 1.0)]
        if photos:
            known = [(known[0][0], 1 - PHOTOS_WEIGHT), (self._measure(photos), PHOTOS_WEIGHT)]
        novel = self._measure(outliers)
        weights = _weigh(known, novel, REGULARIZATION, self.distances(next(validation.parts())).shape[1])
        if self.weigh_features:
            wider = validation.features.penultimate.shape[1] / REGULARIZED_FEATURES
            weights = weights + _weigh(known, novel, REGULARIZATION_WITH_FEATURES * wider**2)
        # Novelty is 0.5 at the threshold. The spread of the images that set it sets the slope: in a steeper curve
        # nearly all values would be 0 or 1.
        logits = known[-1][0] @ weights
        slope = 1 / logits.std(correction=0).clamp_min(MIN_DEVIATION)
        self.weigh = _linear((weights * slope)[None], -(logits * slope).quantile(1 - flagged)[None])
        return self

    def _measure(self, sample: Sample) -> Tensor:
        return torch.cat([self.evidence(part) for part in sample.parts()]).double()

    def evidence(self, sample: Sample) -> Tensor:
        """Return what is weighed [n, count]: the distances and, where asked for, the penultimate features."""
        distances = self.distances(sample)
        return torch.cat([distances, sample.features.penultimate], 1) if self.weigh_features else distances

    def distances(self, sample: Sample) -> Tensor:
        """Return the distances [n, count]: each is larger for an image less like the training images."""
        features = sample.features
        distances = [self.blocks(_blocks(sample.pixels))]
        distances += [distance(means) for distance, means in zip(self.maps, features.maps, strict=True)]
        distances += [self.nearest(features.penultimate), self.all(features.penultimate)]
        energy = -torch.logsumexp(features.logits / self.temperature, dim=1, keepdim=True)
        angles = [self.neighbours(features.penultimate)] if self.neighbours else []
        return torch.cat([torch.cat(distances, 1).log1p(), *angles, energy], 1)

    def forward(self, sample: Sample) -> Tensor:
        return torch.sigmoid(self.weigh(self.evidence(sample))).squeeze(1)


def _weigh(
    known: Sequence[tuple[Tensor, float]], novel: Tensor, regularization: float, used: int | None = None
) -> Tensor:
    """Return the weights [count] of evidence that tell the novel images, [n, count], from the groups of known ones.

    known: each group, and its share of their weight, which is in all that of the novel ones; the weighed sums of the
    last one have a standard deviation of 1. used: how much of the evidence, from the first on; the rest weighs 0.
    """
    groups, shares = zip(*known, (novel, 1.0), strict=True)
    deviation = torch.cat(groups[:-1]).std(0, correction=0).clamp_min(MIN_DEVIATION)
    standard = torch.cat(groups) / deviation
    is_novel = torch.arange(len(standard)) >= len(standard) - len(novel)
    counts = torch.cat(
        [torch.full((len(group),), share / len(group)) for group, share in zip(groups, shares, strict=True)]
    )
    from sklearn.linear_model import LogisticRegression  # here, since what reads versions does without it

    regression = LogisticRegression(C=regularization, max_iter=1_000)
    evidence = (standard - standard.mean(0))[:, :used].numpy()
    fitted(regression, evidence, is_novel.numpy(), (counts * len(standard)).numpy())
    weights: Tensor = torch.zeros_like(deviation)
    weights[:used] = torch.from_numpy(regression.coef_[0])
    weights /= deviation
    weights /= (groups[-2] @ weights).std(correction=0).clamp_min(MIN_DEVIATION)
    return weights


def _blocks(pixels: Tensor) -> Tensor:
    """Return the means of square blocks of images [n, h, w, c] between 0 and 1, at most BLOCKS of them a side."""
    side = -(-max(pixels.shape[1:3]) // BLOCKS)
    return functional.avg_pool2d(to_images(pixels), side).flatten(1)


def _to_unit_length(values: Tensor) -> Tensor:
    """Scale values [n, d] to length 1. functional.normalize is three more operators in a graph."""
    scaled: Tensor = values / torch.linalg.vector_norm(values, dim=1, keepdim=True).clamp_min(MIN_LENGTH)
    return scaled


def _whitening(values: Tensor, means: Tensor, directions: int | None = None) -> nn.Linear:
    """Return the layer that takes values [n, d] to [n, k]: their mean to 0, their variance around these means to 1.

    k: the number of principal directions that are kept, the largest ones: as many as the values suffice for;
    directions: at most so many.
    """
    deviation = values.std(0, correction=0).clamp_min(MIN_DEVIATION)
    standard = ((values - means) / deviation).double()
    variances, vectors = _eigh(standard.T @ standard / len(standard))
    count = min(directions or len(variances), max(1, len(values) // IMAGES_PER_DIRECTION))
    kept = slice(-count, None)
    scaled = vectors[:, kept] / (variances[kept].clamp_min(0) + VARIANCE_FLOOR).sqrt() / deviation[:, None]
    return _linear(scaled.T, -values.mean(0).double() @ scaled)


def _eigh(covariance: Tensor) -> tuple[Tensor, Tensor]:
    """Return the eigenvalues and the eigenvectors of a covariance [d, d]."""
    try:
        variances, vectors = torch.linalg.eigh(covariance)
    except RuntimeError:  # LinAlgError: in one thread MKL may fail where few images leave a low rank
        from scipy.linalg import eigh

        variances, vectors = map(torch.from_numpy, eigh(covariance.numpy()))
    return variances, vectors


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    """Return a layer with this weight [k, d] and bias [k], both frozen."""
    layer = nn.Linear(weight.shape[1], len(weight))
    layer.weight = nn.Parameter(weight.float().contiguous(), requires_grad=False)
    layer.bias = nn.Parameter(bias.float().contiguous(), requires_grad=False)
    return layer
