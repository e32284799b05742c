"""Count each client's images over all workers: in a table of fixed size, in memory that the workers share.

Images that come in the same slot, a sixteenth of the window, are a batch and leave the window together, when the last
of them does: so no window ever has more images than the limit, and a client that always asks gets at least 94% of it.
"""

import hashlib
import mmap
import os
import sys
import tempfile
import time
import weakref
from collections.abc import Callable
from fcntl import LOCK_EX, LOCK_UN, lockf
from functools import lru_cache
from math import ceil
from pathlib import Path
from struct import Struct

from serving.access.rate_limit import Quota, RateLimit

SLOTS = 16  # of a window, which touches one slot more: a client has its newest batch and so many older ones
HASH = Struct("<Q")
# A client's hash; when its oldest batch leaves; its images in the window; its newest batch, and when that came.
HEAD = Struct("<QdIId")  # all that most requests need: the time of a request counts
TAIL = Struct(f"<{SLOTS}d{SLOTS}I")  # when the older batches came, the newest first; their images
ENTRY_BYTES = HEAD.size + TAIL.size
WAYS = 8  # clients in a bucket; a further one takes the place of that with the fewest images in the window
BUCKETS = 4_096  # 32,768 clients in 7 MiB
BUCKET_BYTES = WAYS * ENTRY_BYTES
TABLE_BYTES = BUCKETS * BUCKET_BYTES
FILE = "rate-limit"

Batch = tuple[float, int]  # the time at which its last image came, and its images


class RateLimiter:
    """Says whether a client may send more images; requests take turns in each worker, and a lock between workers."""

    def __init__(
        self,
        limit: RateLimit,
        folder: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
        buckets: int = BUCKETS,
    ) -> None:
        """folder: that the workers share; None where this process is alone. clock: in seconds, the same for all."""
        self.limit = limit
        self._clock = clock
        self._slot_seconds = limit.seconds / SLOTS
        self._buckets = buckets
        self._file = _open(folder)
        weakref.finalize(self, os.close, self._file)
        _reserve(self._file, buckets * BUCKET_BYTES)
        self._table = mmap.mmap(self._file, buckets * BUCKET_BYTES)

    def take(self, client: str, images: int) -> Quota:
        """Count images of a client, unless they pass the limit."""
        identity = _identity(client)
        bucket = identity % self._buckets * BUCKET_BYTES
        lockf(self._file, LOCK_EX, BUCKET_BYTES, bucket)  # the end of a worker frees its locks
        try:
            return self._take(bucket, identity, images)
        finally:
            lockf(self._file, LOCK_UN, BUCKET_BYTES, bucket)

    def _take(self, bucket: int, identity: int, images: int) -> Quota:
        now, entry = self._clock(), bucket
        if HASH.unpack_from(self._table, entry)[0] != identity:
            entry = self._find(bucket, identity, now)
        _, leaves, used, newest, came = HEAD.unpack_from(self._table, entry)
        if leaves <= now or came // self._slot_seconds != now // self._slot_seconds:
            leaves, used, newest = self._settle(entry, identity, now)
        remaining = self.limit.images - used
        if images > remaining:
            return Quota(remaining, self._wait(entry, images - remaining, now), allowed=False)
        if used == newest:  # there is no older batch
            leaves = now + self.limit.seconds
        HEAD.pack_into(self._table, entry, identity, leaves, used + images, newest + images, now)
        return Quota(remaining - images, _whole_seconds(leaves - now))

    def _find(self, bucket: int, identity: int, now: float) -> int:
        """Return a client's entry in its bucket; a new client's is empty."""
        entries = range(bucket, bucket + BUCKET_BYTES, ENTRY_BYTES)
        for entry in entries:
            if HASH.unpack_from(self._table, entry)[0] == identity:
                return entry
        entry = min(entries, key=lambda entry: sum(images for _, images in self._batches(entry, now)))
        self._table[entry : entry + ENTRY_BYTES] = bytes(ENTRY_BYTES)
        return entry

    def _settle(self, entry: int, identity: int, now: float) -> tuple[float, int, int]:
        """Let batches leave whose time has come, and begin one in a new slot; return what HEAD then says."""
        batches = self._batches(entry, now)
        used, leaves = sum(images for _, images in batches), batches[-1][0] + self.limit.seconds if batches else now
        newest = 0
        if batches and batches[0][0] // self._slot_seconds == now // self._slot_seconds:
            newest = batches.pop(0)[1]
        times, counts = zip(*batches, *[(0.0, 0)] * (SLOTS - len(batches)), strict=True)
        HEAD.pack_into(self._table, entry, identity, leaves, used, newest, now)
        TAIL.pack_into(self._table, entry + HEAD.size, *times, *counts)
        return leaves, used, newest

    def _batches(self, entry: int, now: float) -> list[Batch]:
        """Return the batches of an entry that are in the window, the newest first."""
        *_, newest, came = HEAD.unpack_from(self._table, entry)
        tail = TAIL.unpack_from(self._table, entry + HEAD.size)
        batches = [(came, newest), *zip(tail[:SLOTS], tail[SLOTS:], strict=True)]
        return [batch for batch in batches if batch[1] and batch[0] > now - self.limit.seconds]

    def _wait(self, entry: int, images: int, now: float) -> int:
        """Return the whole seconds, at least 1, until so many images have left the window."""
        for came, count in reversed(self._batches(entry, now)):
            images -= count
            if images <= 0:
                return _whole_seconds(came + self.limit.seconds - now)
        return self.limit.seconds  # more than the limit: no time is enough


def _whole_seconds(seconds: float) -> int:
    """Round seconds up to whole ones; the rounding error of a sum of times does not make one more."""
    return max(1, ceil(round(seconds, 6)))


@lru_cache(maxsize=4_096)
def _identity(client: str) -> int:
    """Return a client's hash, the same in all workers and never 0, which marks a free entry."""
    return int.from_bytes(hashlib.blake2b(client.encode(), digest_size=HASH.size).digest()) or 1


def _reserve(file: int, size: int) -> None:
    """Make a file this long; raises OSError where it has no room: to write to it later would kill the process."""
    if sys.platform == "darwin":
        os.truncate(file, size)
    else:
        os.posix_fallocate(file, 0, size)


def _open(folder: Path | None) -> int:
    """Return the descriptor of the table's file."""
    if folder:
        return os.open(folder / FILE, os.O_RDWR | os.O_CREAT, 0o600)
    if sys.platform == "linux":
        return os.memfd_create(FILE)  # which needs room in no folder
    file, path = tempfile.mkstemp()
    Path(path).unlink()
    return file
