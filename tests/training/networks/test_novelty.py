import pytest
import torch
from torch import nn

from training.networks.base import Features
from training.networks.cnn import CNN
from training.networks.mlp import MLP
from training.networks.novelty import (
    BLOCKS,
    Distance,
    NearestDistance,
    NeighbourDistance,
    NoveltyScore,
    Sample,
)

CLASSES, FEATURES = 4, 6


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(1)


def sample_of(n, generator, away=0.0):
    """Return images with features as of a network with two layers of maps, moved away from training, and labels."""
    labels = torch.arange(n) % CLASSES
    penultimate = 3 * nn.functional.one_hot(labels, FEATURES).float() + torch.randn(n, FEATURES, generator=generator)
    maps = tuple(torch.randn(n, channels, generator=generator) + away for channels in (5, 20))
    features = Features(maps, penultimate + away, penultimate[:, :CLASSES] * (1 if away == 0 else 0.3))
    return Sample(noise_images(n, generator), features), labels


def noise_images(n, generator, level=0):
    """Return images of noise, none of whose pixels is darker than a level."""
    return torch.randint(level, 256, (n, 16, 16, 1), generator=generator, dtype=torch.uint8)


@pytest.fixture(scope="module")
def novelty():
    generator = torch.Generator().manual_seed(0)
    train, labels = sample_of(4_000, generator)
    validation, outliers = sample_of(2_000, generator)[0], sample_of(2_000, generator, away=1.5)[0]
    return NoveltyScore(train, labels, 1.0).fit(validation, outliers)


def test_a_distance_is_the_mahalanobis_distance():
    values = torch.randn(5_000, 3, generator=torch.Generator().manual_seed(1)) @ torch.tensor(
        [[2.0, 0.5, 0.0], [0.0, 1.0, 0.3], [0.0, 0.0, 0.4]]
    )
    new = values[:7] + torch.tensor([1.0, -2.0, 0.5])

    mean, precision = values.mean(0), torch.linalg.inv(torch.cov(values.T, correction=0))
    expected = ((new - mean) @ precision * (new - mean)).sum(1).sqrt()
    torch.testing.assert_close(Distance(values)(new)[:, 0], expected, rtol=0.01, atol=0.01)


def test_few_images_are_as_far_as_new_ones_of_their_kind(generator):
    causes, noise = torch.randn(2, 100, 20, generator=generator), torch.randn(2, 100, 192, generator=generator)
    known, new = causes @ torch.randn(20, 192, generator=generator) + noise

    distance = Distance(known)

    assert distance(new).mean().item() == pytest.approx(distance(known).mean().item(), rel=0.3)


def test_the_nearest_distance_is_the_smallest_of_those_from_the_labels_means(generator):
    train, labels = sample_of(4_000, generator)
    nearest = NearestDistance(train.features.penultimate, labels)

    means = torch.stack([train.features.penultimate[labels == label].mean(0) for label in range(CLASSES)])
    far = means[:1] + 5

    assert nearest(means)[:, 0].tolist() == pytest.approx([0] * CLASSES, abs=0.01)
    assert nearest(far)[0, 0] == pytest.approx(
        min(float(torch.linalg.vector_norm(nearest.whiten(far) - nearest.whiten(mean[None]))) for mean in means),
        rel=1e-4,
    )


def test_a_label_without_training_images_is_ignored(generator):
    train, labels = sample_of(400, generator)
    present = labels != 2

    nearest = NearestDistance(train.features.penultimate[present], labels[present])

    assert nearest(train.features.penultimate).isfinite().all()


def test_the_distance_from_the_nearest_image_ignores_lengths_and_is_that_of_the_nearest(generator):
    train = torch.randn(30, FEATURES, generator=generator)
    new = torch.randn(7, FEATURES, generator=generator)

    units, unit = nn.functional.normalize(train, dim=1), nn.functional.normalize(new, dim=1)

    torch.testing.assert_close(
        NeighbourDistance(train)(3 * new)[:, 0], torch.cdist(unit, units).amin(1), rtol=1e-4, atol=1e-4
    )


def test_an_image_unlike_the_training_images_is_novel_whatever_the_features(generator):
    train, labels = sample_of(4_000, generator)
    validation, (_, features) = sample_of(2_000, generator)[0], sample_of(2_000, generator)[0]
    novelty = NoveltyScore(train, labels, 1.0).fit(validation, Sample(noise_images(2_000, generator, 128), features))

    bright = Sample(noise_images(500, generator, 128), sample_of(500, generator)[0].features)

    assert float((novelty(bright) > 0.5).float().mean()) > 0.9


@pytest.mark.parametrize("side", [28, 30, 32, 64, 128])
def test_an_image_is_reduced_to_few_blocks_whatever_its_size(generator, side):
    pixels = torch.randint(0, 256, (200, side, side, 3), generator=generator, dtype=torch.uint8)
    _, features = sample_of(200, generator)[0]

    blocks = NoveltyScore(Sample(pixels, features), torch.arange(200) % CLASSES, 1.0).blocks

    assert blocks.whiten.in_features <= 3 * BLOCKS**2


def test_photos_of_known_images_set_the_threshold_where_the_fit_knows_them(generator):
    train, labels = sample_of(4_000, generator)
    validation, photos = sample_of(2_000, generator)[0], moved(sample_of(300, generator)[0], by=3.0)
    outliers = sample_of(2_000, generator, away=1.5)[0]

    without, having = (
        NoveltyScore(train, labels, 1.0).fit(validation, outliers, some, 0.3)(photos) for some in (None, photos)
    )

    assert float((having > 0.5).float().mean()) == pytest.approx(0.3, abs=0.01)
    assert float((without > 0.5).float().mean()) > 0.4


def test_features_that_no_distance_sees_tell_outliers_where_they_are_weighed(generator):
    train, labels = sample_of(4_000, generator)
    validation, photos = (sample_of(2_000, generator)[0] for _ in range(2))
    outliers, others = (turned(sample_of(2_000, generator)[0]) for _ in range(2))

    shares = [
        float(
            (NoveltyScore(train, labels, 1.0, 0, weighed).fit(validation, outliers, photos)(others) > 0.5)
            .float()
            .mean()
        )
        for weighed in (False, True)
    ]

    assert shares[0] < 0.5 < 0.75 < shares[1]


def turned(sample):
    """Return a sample whose last feature lies where few training images' do, always on the same side."""
    features = sample.features.penultimate.clone()
    features[:, -1] = 2.4 + 0.3 * features[:, -1]
    return sample._replace(features=sample.features._replace(penultimate=features))


def moved(sample, by):
    """Return a sample whose first layer of maps alone is unlike that of the training images."""
    first, *others = sample.features.maps
    return sample._replace(features=sample.features._replace(maps=(first + by, *others)))


def test_one_in_twenty_validation_images_is_novel_and_most_outliers_are(novelty, generator):
    own, outliers = novelty(sample_of(5_000, generator)[0]), novelty(sample_of(5_000, generator, away=1.5)[0])

    assert own.shape == (5_000,)
    assert float((own > 0.5).float().mean()) == pytest.approx(0.05, abs=0.02)
    assert float((outliers > 0.5).float().mean()) > 0.9


def test_novelty_lies_between_0_and_1_and_grows_with_the_distance(novelty, generator):
    means = [float(novelty(sample_of(500, generator, away=away)[0]).mean()) for away in (0.0, 0.7, 1.5, 5.0)]

    assert means == sorted(means)
    assert 0 < means[0] < means[-1] <= 1


def test_images_that_are_all_equal_give_a_finite_score(generator):
    pixels = torch.full((20, 16, 16, 1), 7, dtype=torch.uint8)
    same = Sample(pixels, Features((torch.ones(20, 5),), torch.ones(20, FEATURES), torch.ones(20, CLASSES)))
    others = Sample(noise_images(20, generator), features_like(same.features, generator))

    novelty = NoveltyScore(same, torch.zeros(20, dtype=torch.int64), 1.0).fit(same, others)

    assert novelty(same).isfinite().all()


def features_like(other, generator):
    maps = tuple(torch.randn(means.shape, generator=generator) for means in other.maps)
    return Features(maps, torch.randn(other.penultimate.shape, generator=generator), other.logits)


@pytest.mark.parametrize(
    ("network", "shape", "channels", "features"), [(MLP, (1, 28, 28), [], 128), (CNN, (3, 32, 32), [32, 64, 64], 64)]
)
def test_a_network_gives_its_maps_penultimate_features_and_logits(network, shape, channels, features):
    images = torch.rand(3, *shape)
    network = network().eval()

    found = network.forward_features(images)

    assert [tuple(means.shape) for means in found.maps] == [(3, count) for count in channels]
    assert tuple(found.penultimate.shape) == (3, features)
    torch.testing.assert_close(found.logits, network(images))
    torch.testing.assert_close(network[-1](found.penultimate), found.logits)


def test_a_covariance_that_pytorch_cannot_take_apart_is_taken_apart_otherwise(generator, monkeypatch):
    values = torch.randn(20, 6, generator=generator)
    usual = Distance(values)(values)

    def fail(covariance: torch.Tensor) -> None:
        raise torch.linalg.LinAlgError("linalg.eigh: The algorithm failed to converge")

    monkeypatch.setattr(torch.linalg, "eigh", fail)

    torch.testing.assert_close(Distance(values)(values), usual)
