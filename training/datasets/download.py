"""A data set from the internet: look for its files, download those that are missing."""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pooch
import requests
import torch

from training.command import message_of
from training.datasets.formats import Bytes, DataError
from training.datasets.labelled import LabelledImages, TrainTest
from training.progress import DownloadBar

CACHE = Path("~/.cache/thimble")
DEBIAN = Path("/usr/share/datasets")  # of the package dataset-fashion-mnist
DOWNLOAD_TIMEOUT = 30  # seconds without a byte, after which a server counts as unreachable

Arrays = tuple[Bytes, Bytes]  # images and labels
Find = Callable[..., Path]


@dataclass(frozen=True)
class DownloadedDataset:
    """A data set to download: its homes, and the published MD5 of each of its files."""

    title: str
    licence: str
    labels: tuple[str, ...]
    homes: tuple[str, ...]
    md5: Mapping[str, str]
    read: Callable[[Find], tuple[Arrays, Arrays]]

    def load(self, data_dir: Path | None = None, limit: int | None = None, fetch: bool = True) -> TrainTest:
        """Find the files or download them, and read them; limit keeps so many training and so many test images.

        Raises DataError when they are not available.
        """
        if data_dir is not None and not data_dir.is_dir():
            raise DataError(f"{data_dir}: no such folder; name one that holds the folder or the files of {self.title}")

        def find(*candidates: str) -> Path:
            places = [place / candidate for place in _places(data_dir) for candidate in candidates]
            found = next((path for path in places if path.exists()), None)
            if not (found or fetch):
                raise DataError(f"{candidates[-1]} is not in --data-dir, THIMBLE_DATA, {DEBIAN} or {CACHE}")
            return found or self.fetch(candidates[-1])

        train, test = self.read(find)
        return TrainTest(_images(train, limit), _images(test, limit), limit)

    def fetch(self, file: str) -> Path:
        """Download a file into the cache from the first home that has it, and check its hash. Raises DataError."""
        target = CACHE.expanduser() / file
        failures = []
        for home in self.homes:
            try:
                return _download(home + target.name, self.md5[target.name], target)
            except (requests.RequestException, OSError, ValueError) as error:
                failures.append(f"  {home}: {_first_line(error)}")
        raise DataError(
            f"{self.title}: {file} could not be downloaded:\n"
            + "\n".join(failures)
            + f"\nGet it elsewhere and put it at {target}, or name the folder that holds {file} with --data-dir or "
            "THIMBLE_DATA."
        )


def _images(arrays: Arrays, limit: int | None) -> LabelledImages:
    pixels, labels = (array[:limit] for array in arrays)
    return LabelledImages(torch.from_numpy(pixels.copy()), torch.from_numpy(labels.astype(np.int64)))


def _places(data_dir: Path | None) -> Iterator[Path]:
    if data_dir is not None:
        yield data_dir
    if named := os.environ.get("THIMBLE_DATA"):
        yield Path(named).expanduser()
    yield DEBIAN
    yield CACHE.expanduser()


def _download(url: str, md5: str, target: Path) -> Path:
    pooch.get_logger().setLevel("WARNING")  # the progress bar shows the rest
    with DownloadBar(target.name) as bar:
        # Identity: a server that compresses a .gz once more would break the hash.
        downloader = pooch.HTTPDownloader(
            progressbar=bar, timeout=DOWNLOAD_TIMEOUT, headers={"Accept-Encoding": "identity"}
        )
        return Path(pooch.retrieve(url, f"md5:{md5}", target.name, target.parent, downloader=downloader))


def _first_line(error: Exception) -> str:
    return (message_of(error).splitlines() or [type(error).__name__])[0]
