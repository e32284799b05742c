import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from lookalikes import CIFAR_FILES, cifar_10, idx, packed, put, records

from training.datasets.formats import DataError, read_cifar, read_idx

VALUES = np.random.default_rng(0).integers(0, 256, (50, 28, 28), dtype=np.uint8)
WHOLE = idx(VALUES)
RAW = gzip.decompress(WHOLE)
BATCHES = cifar_10(batch=20)


@pytest.mark.parametrize("values", [VALUES, VALUES[:, 0, 0]], ids=["images", "labels"])
def test_an_idx_file_is_read_as_it_was_written(tmp_path, values):
    path = tmp_path / "file.gz"
    path.write_bytes(idx(values))

    assert np.array_equal(read_idx(path, values.ndim), values)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (WHOLE[: len(WHOLE) // 2], "not a complete gzipped IDX file"),
        (WHOLE[:-4], "not a complete gzipped IDX file"),
        (WHOLE[:-8] + bytes(8), "not a complete gzipped IDX file"),
        (WHOLE[:5], "not a complete gzipped IDX file"),
        (b"", "not a complete gzipped IDX file"),
        (RAW, "not a complete gzipped IDX file"),
        (b"<!DOCTYPE html>", "not a complete gzipped IDX file"),
        (gzip.compress(RAW[:10]), "not a complete gzipped IDX file"),
        (gzip.compress(b""), "not a complete gzipped IDX file"),
        (WHOLE[:10] + b"\xff" * 40 + WHOLE[50:], "not a complete gzipped IDX file"),
        (gzip.compress(RAW[:-100]), "its header says 39,200 bytes of values, but it holds 39,100"),
        (gzip.compress(RAW + b"x"), "its header says 39,200 bytes of values, but it holds"),
        (gzip.compress(b"\x00\x00\x0d\x03" + RAW[4:]), "magic number 0x00000d03, expected 0x00000803"),
        (idx(VALUES[0]), "magic number 0x00000802, expected 0x00000803"),
    ],
    ids=[
        "cut in half",
        "checksum cut off",
        "wrong checksum",
        "header of gzip cut",
        "empty",
        "not compressed",
        "a web page",
        "header of IDX cut",
        "nothing compressed",
        "damaged",
        "values missing",
        "values too many",
        "floats",
        "other dimensions",
    ],
)
def test_anything_but_a_whole_idx_file_is_refused_with_the_reason(tmp_path, content, found):
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(content)

    with pytest.raises(DataError) as refusal:
        read_idx(path, 3)

    assert str(path) in str(refusal.value)
    assert found in str(refusal.value)


@pytest.mark.parametrize("size", [2**31, 2**16], ids=["beyond addresses", "beyond memory"])
def test_a_header_that_claims_absurd_sizes_is_refused(tmp_path, size):
    path = tmp_path / "file.gz"
    path.write_bytes(gzip.compress(struct.pack(">4I", 0x0803, size, size, size) + b"values"))

    with pytest.raises(DataError, match="but it holds 6; delete it, and it is downloaded again"):
        read_idx(path, 3)


@pytest.mark.parametrize(
    ("content", "advice"),
    [
        (WHOLE[:-4], "delete it, and it is downloaded again"),
        (gzip.compress(RAW[:-1]), "delete it, and it is downloaded again"),
        (idx(VALUES[0]), "put the right file there"),
    ],
    ids=["truncated", "values missing", "another kind"],
)
def test_a_refusal_of_an_idx_file_says_what_to_do(tmp_path, content, advice):
    path = tmp_path / "file.gz"
    path.write_bytes(content)

    with pytest.raises(DataError, match=advice):
        read_idx(path, 3)


@pytest.mark.parametrize("read", [lambda path: read_idx(path, 3), lambda path: read_cifar(path, ["a.bin"])])
def test_a_file_that_the_system_does_not_read_is_not_called_damaged(tmp_path, read):
    (loop := tmp_path / "file.gz").symlink_to("file.gz")

    with pytest.raises(DataError, match=r"file\.gz: cannot be read \(Too many levels of symbolic links\); mend it"):
        read(loop)


def test_a_missing_idx_file_is_refused_by_name(tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.gz"):
        read_idx(tmp_path / "nowhere.gz", 3)


def a_folder(tmp_path: Path) -> Path:
    return put(tmp_path / "cifar-10-batches-bin", BATCHES)


def an_archive(tmp_path: Path) -> Path:
    return packed(tmp_path / "cifar-10-binary.tar.gz", BATCHES, order=sorted(CIFAR_FILES, reverse=True))


@pytest.mark.parametrize("form", [a_folder, an_archive])
def test_both_forms_of_cifar_give_the_batches_in_the_given_order(tmp_path, form):
    batches = read_cifar(form(tmp_path), CIFAR_FILES)

    assert [records(*batch) for batch in batches] == [BATCHES[name] for name in CIFAR_FILES]


def test_the_planes_of_a_cifar_record_become_channels_of_each_pixel(tmp_path):
    red, green, blue = (np.arange(1024) % 251, np.arange(1024) // 32, np.full(1024, 200))
    record = bytes([7]) + b"".join(plane.astype(np.uint8).tobytes() for plane in (red, green, blue))
    place = put(tmp_path / "batches", {"one.bin": record})

    ((pixels, labels),) = read_cifar(place, ["one.bin"])

    assert labels.tolist() == [7]
    assert pixels.shape == (1, 32, 32, 3)
    assert pixels[0, 3, 5].tolist() == [(3 * 32 + 5) % 251, 3, 200]


@pytest.mark.parametrize("size", [0, 3072, 3073 * 3 - 1, 3073 + 1])
def test_a_cifar_batch_of_partial_records_is_refused(tmp_path, size):
    place = put(tmp_path / "batches", BATCHES | {"data_batch_3.bin": bytes(size)})

    with pytest.raises(
        DataError, match=rf"data_batch_3\.bin: {size:,} bytes are not whole records of 3,073 .* delete it"
    ):
        read_cifar(place, CIFAR_FILES)


def test_a_cifar_folder_without_a_batch_is_refused_by_the_name_of_the_batch(tmp_path):
    place = a_folder(tmp_path)
    (place / "data_batch_4.bin").unlink()

    with pytest.raises(DataError, match=r"data_batch_4\.bin: cannot be read .* put all six batches into the folder"):
        read_cifar(place, CIFAR_FILES)


@pytest.mark.parametrize("share", [0.01, 0.5, 0.9, 0.9999])
def test_a_truncated_cifar_archive_is_refused(tmp_path, share):
    place = an_archive(tmp_path)
    content = place.read_bytes()
    place.write_bytes(content[: int(len(content) * share)])

    with pytest.raises(DataError, match=r"cifar-10-binary\.tar\.gz: not a complete tar\.gz archive .* delete it"):
        read_cifar(place, CIFAR_FILES)


@pytest.mark.parametrize(
    "content",
    [b"", b"<!DOCTYPE html>", gzip.compress(b"not an archive" * 100)],
    ids=["empty", "a web page", "only gzipped"],
)
def test_a_file_that_is_not_an_archive_is_refused_as_cifar(tmp_path, content):
    place = tmp_path / "cifar-10-binary.tar.gz"
    place.write_bytes(content)

    with pytest.raises(DataError, match=r"cifar-10-binary\.tar\.gz: not a complete tar\.gz archive"):
        read_cifar(place, CIFAR_FILES)


def test_an_archive_without_a_batch_is_refused_with_the_names_of_the_missing_ones(tmp_path):
    place = packed(tmp_path / "cifar-10-binary.tar.gz", BATCHES, order=CIFAR_FILES[:-2])

    with pytest.raises(DataError, match=r": data_batch_5\.bin, test_batch\.bin not found in it; .* binary version"):
        read_cifar(place, CIFAR_FILES)
