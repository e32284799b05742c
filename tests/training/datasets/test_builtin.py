import hashlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from lookalikes import CIFAR_FILES, FASHION_FILES, cifar_10, fashion_mnist, idx, learnable, packed, put, records

from training.datasets import download
from training.datasets.builtin import CIFAR_10, FASHION_MNIST
from training.datasets.formats import DataError
from training.datasets.labelled import LabelledImages

GARMENTS = fashion_mnist(train=30, test=20)
THINGS = cifar_10(batch=10)
UNREACHABLE = replace(FASHION_MNIST, homes=())


def some_images(count: int = 100) -> LabelledImages:
    return LabelledImages(torch.arange(count, dtype=torch.uint8).view(-1, 1, 1, 1), torch.arange(count) % 10)


def test_garments_are_read_in_full_with_their_labels(tmp_path):
    put(tmp_path / "fashion-mnist", GARMENTS)

    data = FASHION_MNIST.load(tmp_path)

    for part, seed, count in ((data.train, 0, 30), (data.test, 1, 20)):
        pixels, labels = learnable(count, 28, 28, 1, seed)
        assert part.pixels.dtype == torch.uint8
        assert part.labels.dtype == torch.int64
        assert np.array_equal(part.pixels.numpy(), pixels)
        assert np.array_equal(part.labels.numpy(), labels)


@pytest.mark.parametrize("form", ["folder", "archive"])
def test_both_forms_of_cifar_are_read_in_full_with_the_batches_in_order(tmp_path, form):
    if form == "folder":
        put(tmp_path / "cifar-10-batches-bin", THINGS)
    else:
        packed(tmp_path / "cifar-10-binary.tar.gz", THINGS)

    data = CIFAR_10.load(tmp_path)

    train, test = (
        records(part.pixels.numpy(), part.labels.numpy().astype(np.uint8)) for part in (data.train, data.test)
    )
    assert train == b"".join(THINGS[name] for name in CIFAR_FILES[:5])
    assert test == THINGS["test_batch.bin"]


def test_the_folder_of_the_garments_may_be_named_itself(tmp_path):
    put(tmp_path, GARMENTS)

    assert len(UNREACHABLE.load(tmp_path).train) == 30


def test_the_places_are_tried_in_the_order_of_the_contract(tmp_path, monkeypatch):
    places = [tmp_path / name for name in ("named", "environment", "debian", "home/.cache/thimble")]
    for count, place in enumerate(places, start=1):
        put(place / "fashion-mnist", fashion_mnist(train=count, test=1))
    monkeypatch.setenv("THIMBLE_DATA", str(places[1]))

    found = []
    for place in places:
        found.append(len(UNREACHABLE.load(places[0]).train))
        (place / "fashion-mnist").rename(place / "moved away")

    assert found == [1, 2, 3, 4]


def test_files_may_lie_in_several_places(tmp_path, monkeypatch):
    put(tmp_path / "one/fashion-mnist", {name: GARMENTS[name] for name in FASHION_FILES[:2]})
    put(tmp_path / "two/fashion-mnist", {name: GARMENTS[name] for name in FASHION_FILES[2:]})
    monkeypatch.setenv("THIMBLE_DATA", str(tmp_path / "two"))

    data = UNREACHABLE.load(tmp_path / "one")

    assert (len(data.train), len(data.test)) == (30, 20)


def test_debians_data_sets_are_looked_for_in_debians_folder(monkeypatch):
    monkeypatch.undo()

    assert str(download.DEBIAN) == "/usr/share/datasets"


@pytest.mark.parametrize(
    ("file", "content", "found"),
    [
        ("train-labels-idx1-ubyte.gz", idx(np.zeros(29, np.uint8)), "29 labels, but .* has 30 images"),
        ("t10k-images-idx3-ubyte.gz", idx(np.zeros((21, 28, 28), np.uint8)), "20 labels, but .* has 21 images"),
        (
            "t10k-labels-idx1-ubyte.gz",
            idx(np.full(20, 10, np.uint8)),
            r"t10k-labels-idx1-ubyte\.gz: label 10, expected 0 to 9",
        ),
        (
            "train-images-idx3-ubyte.gz",
            idx(np.zeros((30, 32, 32), np.uint8)),
            r"\(32, 32\) pixels, expected \(28, 28\)",
        ),
    ],
    ids=["too few labels", "too many images", "label out of range", "another size"],
)
def test_garments_that_disagree_with_each_other_are_refused(tmp_path, file, content, found):
    put(tmp_path / "fashion-mnist", GARMENTS | {file: content})

    with pytest.raises(DataError, match=found):
        FASHION_MNIST.load(tmp_path)


def test_files_without_images_are_refused(tmp_path):
    empty = dict(
        zip(FASHION_FILES[:2], (idx(np.zeros((0, 28, 28), np.uint8)), idx(np.zeros(0, np.uint8))), strict=True)
    )
    put(tmp_path / "fashion-mnist", GARMENTS | empty)

    with pytest.raises(DataError, match="no labels"):
        FASHION_MNIST.load(tmp_path)


def test_a_cifar_label_out_of_range_is_refused(tmp_path):
    pixels, labels = learnable(10, 32, 32, 3, seed=0)
    put(tmp_path / "cifar-10-batches-bin", THINGS | {"data_batch_2.bin": records(pixels, labels + np.uint8(5))})

    with pytest.raises(DataError, match=r"data_batch_2\.bin: label 14, expected 0 to 9"):
        CIFAR_10.load(tmp_path)


@pytest.mark.parametrize(("limit", "counts"), [(None, (30, 20)), (25, (25, 20)), (7, (7, 7)), (1, (1, 1))])
def test_a_limit_keeps_the_first_images_of_each_part(tmp_path, limit, counts):
    put(tmp_path / "fashion-mnist", GARMENTS)

    data = FASHION_MNIST.load(tmp_path, limit)

    assert (len(data.train), len(data.test)) == counts
    assert data.train.labels.tolist() == [number % 10 for number in range(counts[0])]


def test_a_split_is_disjoint_and_complete_and_keeps_labels_with_their_images():
    images = some_images()

    train, validation = images.split(20)

    assert (len(train), len(validation)) == (80, 20)
    assert sorted([*train.pixels.flatten().tolist(), *validation.pixels.flatten().tolist()]) == list(range(100))
    for part in (train, validation):
        assert torch.equal(part.labels, part.pixels.flatten().long() % 10)


def test_a_split_is_the_same_whatever_the_seed_of_the_training():
    torch.manual_seed(1)
    first = some_images().split(20)[1]
    torch.manual_seed(2)
    second = some_images().split(20)[1]

    assert torch.equal(first.pixels, second.pixels)
    assert first.pixels.flatten().tolist() != list(range(20))


def test_the_digest_is_that_of_all_pixels_and_all_labels():
    images = some_images(3)

    assert images.sha256() == hashlib.sha256(bytes([0, 1, 2]) + bytes([0, 1, 2])).hexdigest()


@pytest.mark.parametrize("part", ["pixels", "labels"])
def test_the_digest_changes_with_any_pixel_and_any_label(part):
    images = some_images()
    changed = getattr(images, part).clone()
    changed.view(-1)[50] += 1

    assert replace(images, **{part: changed}).sha256() != images.sha256()


@pytest.mark.parametrize("source", [FASHION_MNIST, CIFAR_10], ids=lambda source: source.title)
def test_every_source_has_ten_labels_homes_and_the_hash_of_each_file(source):
    files = {"Fashion-MNIST": set(FASHION_FILES), "CIFAR-10": {"cifar-10-binary.tar.gz"}}[source.title]

    assert len(set(source.labels)) == 10
    assert source.homes
    assert all(home.endswith("/") for home in source.homes)
    assert set(source.md5) == files
    assert all(len(bytes.fromhex(digest)) == 16 for digest in source.md5.values())


def test_a_data_dir_that_does_not_exist_is_refused_and_not_ignored(tmp_path):
    with pytest.raises(DataError, match="mistyped: no such folder"):
        FASHION_MNIST.load(tmp_path / "mistyped")
