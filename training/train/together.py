"""Several processes that train one network together, as torchrun starts them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, distributed, nn


@dataclass(frozen=True)
class Group:
    """This process's place among those that train together; alone by default."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process is the one that reports and exports."""
        return self.rank == 0

    def batches(self, order: Tensor, size: int) -> tuple[Tensor, ...]:
        """Split an order into batches of about that size, each with as many images for every process.

        What would be left over at the end is left out. The processes draw the same random numbers, for as many images.
        """
        whole = order[: len(order) // self.size * self.size]
        batches: tuple[Tensor, ...] = whole.split(max(1, size // self.size) * self.size)
        return batches

    def share(self, batch: Tensor) -> Tensor:
        """Return this process's part of a batch."""
        return batch[self.rank :: self.size]

    def add_gradients(self, network: nn.Module) -> None:
        """Give each process the sum of all processes' gradients."""
        self._add([weights.grad for weights in network.parameters() if weights.grad is not None])

    def average_statistics(self, network: nn.Module) -> None:
        """Give each process the mean of all processes' running statistics (those of batch norm)."""
        statistics = [buffer for buffer in network.buffers() if buffer.is_floating_point()]
        self._add(statistics)
        for buffer in statistics:
            buffer /= self.size

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.size > 1:
            distributed.barrier()

    def _add(self, tensors: list[Tensor]) -> None:
        if self.size == 1 or not tensors:
            return
        together = torch.cat([tensor.flatten() for tensor in tensors])  # one message instead of dozens
        distributed.all_reduce(together)
        for tensor, summed in zip(tensors, together.split([tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(summed.view(tensor.shape))


ALONE = Group()


@contextmanager
def joined(device: str) -> Iterator[Group]:
    """Yield the group that torchrun's environment describes, joined for as long as the block lasts."""
    if "RANK" not in os.environ:
        yield ALONE
        return
    if device == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group("nccl" if device == "cuda" else "gloo")
    try:
        yield Group(distributed.get_rank(), distributed.get_world_size())
    finally:
        distributed.destroy_process_group()
