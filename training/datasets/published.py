"""A data set that others publish: where it is looked for, and how it is fetched."""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pooch
import requests
import torch

from training.datasets.formats import Bytes, DataError
from training.datasets.images import DataSet, Images
from training.progress import DownloadBar

CACHE = Path("~/.cache/thimble")
DEBIAN = Path("/usr/share/datasets")  # of the package dataset-fashion-mnist
FETCH_TIMEOUT = 30  # seconds of silence after which a server counts as gone

Part = tuple[Bytes, Bytes]
Find = Callable[..., Path]


@dataclass(frozen=True)
class Published:
    """What a data set is and where it lives: its homes, and the MD5 published for each of their files."""

    title: str
    licence: str
    labels: tuple[str, ...]
    homes: tuple[str, ...]
    md5: Mapping[str, str]
    read: Callable[[Find], tuple[Part, Part]]

    def load(self, data_dir: Path | None = None, limit: int | None = None, fetch: bool = True) -> DataSet:
        """Find or, if need be, fetch the files and read them; limit keeps that many images of each part.

        Raises DataError when they are not to be had.
        """
        if data_dir is not None and not data_dir.is_dir():
            raise DataError(f"{data_dir}: no such folder; it is to hold the folder or the files of {self.title}")

        def find(*candidates: str) -> Path:
            places = [place / candidate for place in _places(data_dir) for candidate in candidates]
            found = next((path for path in places if path.exists()), None)
            if not (found or fetch):
                raise DataError(f"{candidates[-1]} is in none of the places where data is looked for")
            return found or self.fetch(candidates[-1])

        train, test = self.read(find)
        return DataSet(_images(train).take(slice(limit)), _images(test).take(slice(limit)), limit)

    def fetch(self, file: str) -> Path:
        """Fetch a file into the cache from the first home that has it, against its pinned hash. Raises DataError."""
        target = CACHE.expanduser() / file
        failures = []
        for home in self.homes:
            try:
                return _download(home + target.name, self.md5[target.name], target)
            except (requests.RequestException, OSError, ValueError) as error:
                failures.append(f"  {home}: {_first_line(error)}")
        raise DataError(
            f"{self.title}: {file} could not be fetched:\n" + "\n".join(failures) + f"\nGet it elsewhere and put it at "
            f"{target}, or name the folder that holds {file} with --data-dir or THIMBLE_DATA."
        )


def _images(part: Part) -> Images:
    pixels, labels = part
    return Images(torch.from_numpy(pixels.copy()), torch.from_numpy(labels.astype(np.int64)))


def _places(data_dir: Path | None) -> Iterator[Path]:
    if data_dir is not None:
        yield data_dir
    if named := os.environ.get("THIMBLE_DATA"):
        yield Path(named).expanduser()
    yield DEBIAN
    yield CACHE.expanduser()


def _download(url: str, md5: str, target: Path) -> Path:
    pooch.get_logger().setLevel("WARNING")  # the bar says the rest
    with DownloadBar(target.name) as bar:
        # Identity, because a server that gzips a .gz once more would break the hash.
        downloader = pooch.HTTPDownloader(
            progressbar=bar, timeout=FETCH_TIMEOUT, headers={"Accept-Encoding": "identity"}
        )
        return Path(pooch.retrieve(url, f"md5:{md5}", target.name, target.parent, downloader=downloader))


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
