import pytest
import torch
from torch import nn

from training.networks.base import Features
from training.networks.cnn import CNN
from training.networks.mlp import MLP
from training.networks.novelty import Distance, NearestDistance, NoveltyScore

CLASSES, FEATURES = 4, 6


@pytest.fixture(scope="module")
def generator():
    return torch.Generator().manual_seed(0)


def features_of(n, generator, away=0.0):
    """Return features and labels as of a network with two layers of maps, moved away from the training images."""
    labels = torch.arange(n) % CLASSES
    penultimate = 3 * nn.functional.one_hot(labels, FEATURES).float() + torch.randn(n, FEATURES, generator=generator)
    maps = tuple(torch.randn(n, channels, generator=generator) + away for channels in (5, 20))
    return Features(maps, penultimate + away, penultimate[:, :CLASSES] * (1 if away == 0 else 0.3)), labels


@pytest.fixture(scope="module")
def novelty(generator):
    train, labels = features_of(4_000, generator)
    validation, outliers = features_of(2_000, generator)[0], features_of(2_000, generator, away=1.5)[0]
    return NoveltyScore(train, labels, 1.0).fit(validation, outliers)


def test_a_distance_is_the_mahalanobis_distance():
    values = torch.randn(5_000, 3, generator=torch.Generator().manual_seed(1)) @ torch.tensor(
        [[2.0, 0.5, 0.0], [0.0, 1.0, 0.3], [0.0, 0.0, 0.4]]
    )
    new = values[:7] + torch.tensor([1.0, -2.0, 0.5])

    mean, precision = values.mean(0), torch.linalg.inv(torch.cov(values.T, correction=0))
    expected = ((new - mean) @ precision * (new - mean)).sum(1).sqrt()
    torch.testing.assert_close(Distance(values)(new)[:, 0], expected, rtol=0.01, atol=0.01)


def test_the_nearest_distance_is_the_smallest_of_those_from_the_labels_means(generator):
    train, labels = features_of(4_000, generator)
    nearest = NearestDistance(train.penultimate, labels)

    means = torch.stack([train.penultimate[labels == label].mean(0) for label in range(CLASSES)])
    far = means[:1] + 5

    assert nearest(means)[:, 0].tolist() == pytest.approx([0] * CLASSES, abs=0.01)
    assert nearest(far)[0, 0] == pytest.approx(
        min(float(torch.linalg.vector_norm(nearest.whiten(far) - nearest.whiten(mean[None]))) for mean in means),
        rel=1e-4,
    )


def test_a_label_without_training_images_is_ignored(generator):
    train, labels = features_of(400, generator)
    present = labels != 2

    nearest = NearestDistance(train.penultimate[present], labels[present])

    assert nearest(train.penultimate).isfinite().all()


def test_one_in_twenty_validation_images_is_novel_and_most_outliers_are(novelty, generator):
    own, outliers = novelty(features_of(5_000, generator)[0]), novelty(features_of(5_000, generator, away=1.5)[0])

    assert own.shape == (5_000,)
    assert float((own > 0.5).float().mean()) == pytest.approx(0.05, abs=0.02)
    assert float((outliers > 0.5).float().mean()) > 0.9


def test_novelty_lies_between_0_and_1_and_grows_with_the_distance(novelty, generator):
    means = [float(novelty(features_of(500, generator, away=away)[0]).mean()) for away in (0.0, 0.7, 1.5, 5.0)]

    assert means == sorted(means)
    assert 0 < means[0] < means[-1] <= 1


def test_images_that_are_all_equal_give_a_finite_score(generator):
    same = Features((torch.ones(20, 5),), torch.ones(20, FEATURES), torch.ones(20, CLASSES))

    novelty = NoveltyScore(same, torch.zeros(20, dtype=torch.int64), 1.0).fit(same, features_like(same, generator))

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
