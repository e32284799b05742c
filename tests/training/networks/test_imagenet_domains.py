"""The router's network: ImageNet's classes, grouped into garments and things."""

import pytest
import torch

from training.networks.efficientnet import load_pretrained
from training.networks.imagenet_domains import GARMENTS, THINGS, ImageNetDomains

CLASSES = 1_000


@pytest.fixture(scope="module")
def network():
    return ImageNetDomains().eval()


def test_no_class_is_in_both_groups_or_twice_in_one():
    assert len({*GARMENTS, *THINGS}) == len(GARMENTS) + len(THINGS)
    assert all(0 <= number < CLASSES for number in (*GARMENTS, *THINGS))


@pytest.mark.parametrize(("number", "group"), [(610, 0), (770, 0), (414, 0), (281, 1), (404, 1), (867, 1)])
def test_a_jersey_a_shoe_and_a_backpack_are_garments_a_cat_an_airliner_and_a_truck_are_things(number, group):
    assert number in (GARMENTS, THINGS)[group]


def test_a_groups_probability_is_the_sum_of_its_classes(network):
    images = torch.randn(3, 3, 128, 128, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        probabilities = load_pretrained().eval()(images).softmax(1)
        grouped = network(images).softmax(1)
    sums = torch.stack([probabilities[:, list(group)].sum(1) for group in (GARMENTS, THINGS)], 1)

    assert torch.allclose(grouped, sums / sums.sum(1, keepdim=True), atol=1e-5)


def test_it_gives_two_logits_for_images_of_any_size(network):
    with torch.inference_mode():
        assert network(torch.zeros(2, 3, 128, 128)).shape == (2, 2)
        assert network(torch.zeros(1, 3, 96, 96)).shape == (1, 2)
