"""The router's data: photos composed of both data sets, labelled with their names."""

import pytest
import torch

from training.datasets.builtin import CIFAR_10, FASHION_MNIST
from training.datasets.domains import DOMAINS, SIDE, SOURCES

LIMIT = 60


@pytest.fixture(scope="module")
def domains(data_dir):
    return DOMAINS.load(data_dir, LIMIT)


def test_the_labels_are_the_names_of_the_data_sets():
    assert DOMAINS.labels == (FASHION_MNIST.title, CIFAR_10.title)


def test_sources_are_found_by_the_title_that_a_card_states():
    assert {source.title: source for source in (FASHION_MNIST, CIFAR_10, DOMAINS)} == SOURCES


def test_both_data_sets_have_as_many_photos_in_colours_of_the_inputs_size(domains):
    for part in (domains.train, domains.test):
        assert part.pixels.shape == (LIMIT, SIDE, SIDE, 3)
        assert part.pixels.dtype == torch.uint8
        assert part.labels.bincount().tolist() == [LIMIT // 2, LIMIT // 2]


def test_the_photos_are_the_same_each_time(domains, data_dir):
    again = DOMAINS.load(data_dir, LIMIT)

    assert again.train.sha256() == domains.train.sha256()
    assert again.test.sha256() == domains.test.sha256()


def test_training_and_test_photos_differ(domains):
    assert domains.train.sha256() != domains.test.sha256()


def test_an_odd_limit_is_kept(data_dir):
    data = DOMAINS.load(data_dir, 7)

    assert (len(data.train), len(data.test), data.limit) == (7, 7, 7)
