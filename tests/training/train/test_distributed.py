"""Distributed training: the part of each process, and the network that they train together."""

import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
import two_processes
from torch import distributed
from torch.nn import functional
from two_processes import PLAIN, UNEVEN, lookalikes, state
from unmeasured import unmeasured

from serving.model.classifier import Classifier
from training.networks.cnn import CNN
from training.networks.net import BatchNorm
from training.networks.normalize import Normalize
from training.pipeline import split
from training.recipes import RECIPES
from training.train.distributed import SINGLE_PROCESS, ProcessGroup, join_process_group
from training.train.loop import train_network
from training.train.trainer import RunContext, loss_and_accuracy

REPOSITORY = Path(__file__).parents[3]
TIMEOUT = 300  # seconds: longer than a slow machine takes, so that a process was waiting for ever
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")


@pytest.mark.parametrize(("images", "batch", "processes"), [(101, 25, 2), (64, 32, 3), (33, 32, 2), (10, 1, 4)])
class TestBatches:
    def test_each_process_gets_equally_many_images_of_each_batch(self, images, batch, processes):
        batches = ProcessGroup(0, processes).batches(torch.arange(images), batch)

        parts = [[len(ProcessGroup(rank, processes).shard(each)) for rank in range(processes)] for each in batches]

        assert all(len(set(lengths)) == 1 and lengths[0] > 0 for lengths in parts)

    def test_the_parts_leave_out_less_than_one_image_a_process(self, images, batch, processes):
        batches = ProcessGroup(0, processes).batches(torch.arange(images), batch)

        shared = [
            int(place)
            for each in batches
            for rank in range(processes)
            for place in ProcessGroup(rank, processes).shard(each)
        ]

        assert len(set(shared)) == len(shared)
        assert images - processes < len(shared) <= images

    def test_a_batch_is_as_large_as_given_unless_there_are_more_processes(self, images, batch, processes):
        batches = ProcessGroup(0, processes).batches(torch.arange(images), batch)

        assert max(map(len, batches)) <= max(batch, processes)


def test_a_single_process_takes_every_image_in_batches_of_the_size_given():
    order = torch.randperm(101)

    batches = SINGLE_PROCESS.batches(order, 25)

    assert [len(batch) for batch in batches] == [25, 25, 25, 25, 1]
    assert torch.equal(torch.cat([SINGLE_PROCESS.shard(batch) for batch in batches]), order)


def test_a_single_process_leaves_gradients_and_statistics_as_they_are():
    network = BatchNorm(1)
    network(torch.rand(3, 1, 4, 4)).sum().backward()
    before = [network.bias.grad.clone(), network.running_mean.clone()]

    SINGLE_PROCESS.all_reduce_gradients(network)
    SINGLE_PROCESS.average_statistics(network)

    assert torch.equal(network.bias.grad, before[0])
    assert torch.equal(network.running_mean, before[1])


def test_without_torchrun_there_is_a_single_process(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)

    with join_process_group("cpu") as group:
        assert group == SINGLE_PROCESS
        assert group.is_main
        assert not distributed.is_initialized()


class TestGraphicsCards:
    @pytest.fixture
    def calls(self, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
        """The recorded calls of PyTorch, in place of graphics cards."""
        calls: list[Any] = []
        monkeypatch.setenv("RANK", "5")
        monkeypatch.setenv("LOCAL_RANK", "1")
        monkeypatch.setattr(torch.cuda, "set_device", lambda number: calls.append(number))
        monkeypatch.setattr(distributed, "init_process_group", lambda *how, timeout: calls.append((*how, timeout)))
        monkeypatch.setattr(distributed, "destroy_process_group", lambda: calls.append("left"))
        monkeypatch.setattr(distributed, "get_rank", lambda: 5)
        monkeypatch.setattr(distributed, "get_world_size", lambda: 8)
        return calls

    def test_each_process_takes_its_own_card_and_they_use_nccl(self, calls):
        with join_process_group("cuda") as group:
            number, (backend, _) = calls
            assert (number, backend) == (1, "nccl")

        assert group == ProcessGroup(5, 8)
        assert not group.is_main
        assert calls[2:] == ["left"]

    def test_processors_use_gloo(self, calls):
        with join_process_group("cpu"):
            assert [backend for backend, _ in calls] == ["gloo"]

    def test_the_others_wait_for_an_export_of_an_hour(self, calls):
        with join_process_group("cuda"):
            assert calls[1][1] > timedelta(hours=1)

    def test_the_group_is_left_after_an_error_too(self, calls):
        with pytest.raises(OSError, match="full"), join_process_group("cuda"):
            raise OSError("full")

        assert calls[-1] == "left"


Results = list[dict[str, Any]]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """The results of each of two processes, on this machine's processors."""
    folder = tmp_path_factory.mktemp("together")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    group = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    paths = (str(REPOSITORY), str(REPOSITORY / "tests/training"))
    environment = os.environ | group | {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    command = (sys.executable, two_processes.__file__, str(folder))
    main = subprocess.Popen(command, cwd=REPOSITORY, env=environment, start_new_session=True)
    try:
        assert main.wait(TIMEOUT) == 0
    finally:
        with suppress(ProcessLookupError):  # both have ended
            os.killpg(main.pid, signal.SIGKILL)
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


@pytest.mark.trains
class TestTwoProcesses:
    def test_the_gradients_of_both_parts_add_up_to_those_of_the_whole_batch(self, results):
        torch.manual_seed(0)
        network, images = CNN(), lookalikes(UNEVEN, 10)
        pixels = Normalize.to_unit(images.pixels)(images.pixels)

        functional.cross_entropy(network(pixels), images.labels, reduction="sum").backward()

        for added, *others in zip(network.parameters(), *(each["gradients"] for each in results), strict=True):
            for other in others:
                torch.testing.assert_close(other, added.grad, rtol=1e-4, atol=1e-5)

    def test_running_statistics_are_the_mean_of_both(self, results):
        momentum = BatchNorm(1).momentum

        means = [float(each["statistics"]["running_mean"]) for each in results]

        assert means == pytest.approx([3 * momentum] * 2)

    def test_together_they_see_each_image_once_an_epoch(self, results):
        for one, other in zip(*(each["seen"]["images"] for each in results), strict=True):
            assert len(one) == len(other) == 50
            assert len({*one, *other}) == 100

    def test_each_epoch_has_an_order_of_its_own(self, results):
        first, second, third = results[0]["seen"]["images"]

        assert first != second != third

    def test_the_report_counts_the_images_of_both(self, results):
        assert [each["seen"]["reported"][0] for each in results] == [100, 100]

    @pytest.mark.parametrize("training", ["plain", "net", "resumed"])
    def test_both_end_with_the_same_network(self, results, training):
        one, other = (each[training] for each in results)

        assert list(one) == list(other)
        assert [name for name in one if not torch.equal(one[name], other[name])] == []

    def test_they_take_the_steps_of_a_single_process(self, results):
        alone = state(PLAIN, RunContext())

        for name, tensor in alone.items():
            torch.testing.assert_close(results[0]["plain"][name], tensor, rtol=1e-3, atol=1e-4)

    def test_an_interrupted_training_ends_as_an_uninterrupted_one(self, results):
        resumed, whole = results[0]["resumed"], results[0]["net"]

        assert [name for name in whole if not torch.equal(whole[name], resumed[name])] == []

    def test_if_the_main_process_fails_the_other_fails_too_and_does_not_wait_for_ever(self, results):
        main, other = (each["left alone"] for each in results)

        assert main == "No space left on device"
        assert "closed" in other or "reset" in other


@pytest.mark.trains
def test_torchrun_exports_one_model_as_good_as_that_of_one_process(data_dir, garments, tmp_path):
    arguments = ["lecture-mlp", "--epochs", "6", "--data-dir", str(data_dir), "--models-dir", str(tmp_path)]
    command = [*TORCHRUN, "-m", "training.export", *arguments]
    environment = unmeasured() | {"OMP_NUM_THREADS": "1"}

    ended = subprocess.run(
        command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=TIMEOUT, check=False
    )

    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("Written to") == ended.stdout.count("360 images to train on") == 1
    assert sorted(path.name for path in (tmp_path / "lecture-mlp").iterdir() if path.is_dir()) == ["1"]
    card = Classifier.open(tmp_path / "lecture-mlp/1/model.onnx").card
    recipe = replace(RECIPES["lecture-mlp"], epochs=6)
    logits = train_network(recipe, *split(recipe, garments)).forward_features(garments.test.pixels).logits
    _, accuracy = loss_and_accuracy(logits, garments.test.labels)
    assert card.metrics.accuracy == pytest.approx(accuracy, abs=0.1)
    assert card.metrics.accuracy > 0.8
    assert len(card.training.epoch_accuracy) == 6
