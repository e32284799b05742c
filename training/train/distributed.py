"""Distributed training: several processes train one network, as torchrun starts them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import Tensor, distributed, nn

WAIT_TIMEOUT = timedelta(hours=4)  # of the others, while the main process exports; by default NCCL waits 10 minutes


@dataclass(frozen=True)
class ProcessGroup:
    """This process's rank among those that train one network; by default it is the only one."""

    rank: int = 0
    size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this process is the one that reports and exports."""
        return self.rank == 0

    def batches(self, order: Tensor, size: int) -> tuple[Tensor, ...]:
        """Split an order into batches of about this size, each with an equal number of images for every process.

        Leaves out the remainder at the end. All processes then draw equally many random numbers, and the same ones.
        """
        whole = order[: len(order) // self.size * self.size]
        batches: tuple[Tensor, ...] = whole.split(max(1, size // self.size) * self.size)
        return batches

    def shard(self, batch: Tensor) -> Tensor:
        """Return this process's part of a batch."""
        return batch[self.rank :: self.size]

    def all_reduce_gradients(self, network: nn.Module) -> None:
        """Replace the gradients by the sum of all processes' gradients."""
        self._all_reduce([weights.grad for weights in network.parameters() if weights.grad is not None])

    def average_statistics(self, network: nn.Module) -> None:
        """Replace the running statistics of batch norm by the mean of all processes'."""
        statistics = [buffer for buffer in network.buffers() if buffer.is_floating_point()]
        self._all_reduce(statistics)
        for buffer in statistics:
            buffer /= self.size

    def barrier(self) -> None:
        """Wait until all processes get here."""
        if self.size > 1:
            distributed.barrier()

    def _all_reduce(self, tensors: list[Tensor]) -> None:
        if self.size == 1 or not tensors:
            return
        joined = torch.cat([tensor.flatten() for tensor in tensors])  # one message instead of dozens
        distributed.all_reduce(joined)
        for tensor, summed in zip(tensors, joined.split([tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(summed.view(tensor.shape))


SINGLE_PROCESS = ProcessGroup()


def started_processes() -> int:
    """Return how many processes torchrun started; without it, 1."""
    return int(os.environ.get("WORLD_SIZE", "1"))


@contextmanager
def join_process_group(device: str) -> Iterator[ProcessGroup]:
    """Join the process group that torchrun's environment describes, for as long as the block lasts."""
    if "RANK" not in os.environ:
        yield SINGLE_PROCESS
        return
    if device == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group("nccl" if device == "cuda" else "gloo", timeout=WAIT_TIMEOUT)
    try:
        yield ProcessGroup(distributed.get_rank(), distributed.get_world_size())
    finally:
        distributed.destroy_process_group()
