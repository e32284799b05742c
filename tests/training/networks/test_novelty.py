import pytest
import torch
from torch import nn

from training.networks import CNN, MLP, Observed
from training.networks.novelty import Distance, NearestDistance, Novelty

CLASSES, FEATURES = 4, 6


@pytest.fixture(scope="module")
def generator():
    return torch.Generator().manual_seed(0)


def observed(n, generator, away=0.0):
    """Return what a network with two layers of maps may observe, moved away from the training images."""
    labels = torch.arange(n) % CLASSES
    features = 3 * nn.functional.one_hot(labels, FEATURES).float() + torch.randn(n, FEATURES, generator=generator)
    maps = tuple(torch.randn(n, channels, generator=generator) + away for channels in (5, 20))
    return Observed(maps, features + away, features[:, :CLASSES] * (1 if away == 0 else 0.3)), labels


@pytest.fixture(scope="module")
def novelty(generator):
    seen, labels = observed(4_000, generator)
    return Novelty(seen, labels, 1.0).fit(observed(2_000, generator)[0], observed(2_000, generator, away=1.5)[0])


def test_a_distance_is_that_of_mahalanobis():
    values = torch.randn(5_000, 3, generator=torch.Generator().manual_seed(1)) @ torch.tensor(
        [[2.0, 0.5, 0.0], [0.0, 1.0, 0.3], [0.0, 0.0, 0.4]]
    )
    new = values[:7] + torch.tensor([1.0, -2.0, 0.5])

    mean, precision = values.mean(0), torch.linalg.inv(torch.cov(values.T, correction=0))
    expected = ((new - mean) @ precision * (new - mean)).sum(1).sqrt()
    torch.testing.assert_close(Distance(values)(new)[:, 0], expected, rtol=0.01, atol=0.01)


def test_the_nearest_distance_is_the_least_of_those_from_the_labels_means(generator):
    seen, labels = observed(4_000, generator)
    nearest = NearestDistance(seen.features, labels)

    means = torch.stack([seen.features[labels == label].mean(0) for label in range(CLASSES)])
    far = means[:1] + 5

    assert nearest(means)[:, 0].tolist() == pytest.approx([0] * CLASSES, abs=0.01)
    assert nearest(far)[0, 0] == pytest.approx(
        min(float(torch.linalg.vector_norm(nearest.whiten(far) - nearest.whiten(mean[None]))) for mean in means),
        rel=1e-4,
    )


def test_a_label_without_training_images_has_no_part_in_it(generator):
    seen, labels = observed(400, generator)
    present = labels != 2

    nearest = NearestDistance(seen.features[present], labels[present])

    assert nearest(seen.features).isfinite().all()


def test_one_in_twenty_held_out_images_is_novel_and_foreign_ones_are(novelty, generator):
    own, foreign = novelty(observed(5_000, generator)[0]), novelty(observed(5_000, generator, away=1.5)[0])

    assert own.shape == (5_000,)
    assert float((own > 0.5).float().mean()) == pytest.approx(0.05, abs=0.02)
    assert float((foreign > 0.5).float().mean()) > 0.9


def test_novelty_lies_between_0_and_1_and_grows_with_the_distance(novelty, generator):
    means = [float(novelty(observed(500, generator, away=away)[0]).mean()) for away in (0.0, 0.7, 1.5, 5.0)]

    assert means == sorted(means)
    assert 0 < means[0] < means[-1] <= 1


def test_images_that_differ_in_nothing_break_nothing(generator):
    same = Observed((torch.ones(20, 5),), torch.ones(20, FEATURES), torch.ones(20, CLASSES))

    novelty = Novelty(same, torch.zeros(20, dtype=torch.int64), 1.0).fit(same, observed_like(same, generator))

    assert novelty(same).isfinite().all()


def observed_like(other, generator):
    maps = tuple(torch.randn(means.shape, generator=generator) for means in other.maps)
    return Observed(maps, torch.randn(other.features.shape, generator=generator), other.logits)


@pytest.mark.parametrize(
    ("network", "shape", "channels", "features"), [(MLP, (1, 28, 28), [], 128), (CNN, (3, 32, 32), [32, 64, 64], 64)]
)
def test_a_network_observes_its_maps_features_and_logits(network, shape, channels, features):
    images = torch.rand(3, *shape)
    network = network().eval()

    seen = network.observe(images)

    assert [tuple(means.shape) for means in seen.maps] == [(3, count) for count in channels]
    assert tuple(seen.features.shape) == (3, features)
    torch.testing.assert_close(seen.logits, network(images))
    torch.testing.assert_close(network[-1](seen.features), seen.logits)
