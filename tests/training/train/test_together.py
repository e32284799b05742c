"""Several processes that train one network: what each does, and what comes of it."""

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import two_processes
from torch import distributed
from torch.nn import functional
from two_processes import PLAIN, UNEVEN, lookalikes, state

from serving.model.classifier import Classifier
from training.networks import CNN, BatchNorm
from training.networks.normalisation import Normalise
from training.train.course import Circumstances
from training.train.together import ALONE, Group, joined

REPOSITORY = Path(__file__).parents[3]
PATIENCE = 300  # seconds; a process that waits for another one for ever is to be told from a slow machine
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")


@pytest.mark.parametrize(("images", "batch", "processes"), [(101, 25, 2), (64, 32, 3), (33, 32, 2), (10, 1, 4)])
class TestBatches:
    def test_each_process_gets_as_many_images_of_each_batch(self, images, batch, processes):
        batches = Group(0, processes).batches(torch.arange(images), batch)

        shares = [[len(Group(rank, processes).share(each)) for rank in range(processes)] for each in batches]

        assert all(len(set(lengths)) == 1 and lengths[0] > 0 for lengths in shares)

    def test_the_shares_are_the_whole_but_for_less_than_one_image_a_process(self, images, batch, processes):
        batches = Group(0, processes).batches(torch.arange(images), batch)

        shared = [
            int(place) for each in batches for rank in range(processes) for place in Group(rank, processes).share(each)
        ]

        assert len(set(shared)) == len(shared)
        assert images - processes < len(shared) <= images

    def test_no_batch_is_larger_than_was_asked_for_unless_the_processes_are_more(self, images, batch, processes):
        batches = Group(0, processes).batches(torch.arange(images), batch)

        assert max(map(len, batches)) <= max(batch, processes)


def test_a_process_alone_takes_every_image_in_batches_of_the_size_asked_for():
    order = torch.randperm(101)

    batches = ALONE.batches(order, 25)

    assert [len(batch) for batch in batches] == [25, 25, 25, 25, 1]
    assert torch.equal(torch.cat([ALONE.share(batch) for batch in batches]), order)


def test_a_process_alone_leaves_gradients_and_statistics_as_they_are():
    network = BatchNorm(1)
    network(torch.rand(3, 1, 4, 4)).sum().backward()
    before = [network.bias.grad.clone(), network.running_mean.clone()]

    ALONE.add_gradients(network)
    ALONE.average_statistics(network)

    assert torch.equal(network.bias.grad, before[0])
    assert torch.equal(network.running_mean, before[1])


def test_without_torchrun_a_process_is_alone(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)

    with joined("cpu") as group:
        assert group == ALONE
        assert group.leads
        assert not distributed.is_initialized()


class TestGraphicsCards:
    @pytest.fixture
    def calls(self, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
        """What PyTorch is asked for, where there are no graphics cards that could do it."""
        calls: list[Any] = []
        monkeypatch.setenv("RANK", "5")
        monkeypatch.setenv("LOCAL_RANK", "1")
        monkeypatch.setattr(torch.cuda, "set_device", lambda number: calls.append(number))
        monkeypatch.setattr(distributed, "init_process_group", lambda backend: calls.append(backend))
        monkeypatch.setattr(distributed, "destroy_process_group", lambda: calls.append("left"))
        monkeypatch.setattr(distributed, "get_rank", lambda: 5)
        monkeypatch.setattr(distributed, "get_world_size", lambda: 8)
        return calls

    def test_each_process_takes_its_own_card_and_they_speak_through_nccl(self, calls):
        with joined("cuda") as group:
            assert calls == [1, "nccl"]

        assert group == Group(5, 8)
        assert not group.leads
        assert calls == [1, "nccl", "left"]

    def test_processors_speak_through_gloo(self, calls):
        with joined("cpu"):
            assert calls == ["gloo"]

    def test_the_group_is_left_after_an_error_too(self, calls):
        with pytest.raises(OSError, match="full"), joined("cuda"):
            raise OSError("full")

        assert calls[-1] == "left"


Answers = list[dict[str, Any]]


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Answers:
    """What each of two processes answers, on this machine's processors."""
    folder = tmp_path_factory.mktemp("together")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    group = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    paths = (str(REPOSITORY), str(REPOSITORY / "tests/training"))
    environment = os.environ | group | {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    command = (sys.executable, two_processes.__file__, str(folder))
    processes = [
        subprocess.Popen(command, cwd=REPOSITORY, env=environment | {"RANK": str(rank), "LOCAL_RANK": str(rank)})
        for rank in range(2)
    ]
    try:
        assert [process.wait(PATIENCE) for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


class TestTwoProcesses:
    def test_the_gradients_of_two_shares_add_up_to_those_of_the_whole_batch(self, answers):
        torch.manual_seed(0)
        network, images = CNN(), lookalikes(UNEVEN, 10)
        pixels = Normalise.to_unit(images.pixels)(images.pixels)

        functional.cross_entropy(network(pixels), images.labels, reduction="sum").backward()

        for added, *others in zip(network.parameters(), *(each["gradients"] for each in answers), strict=True):
            for other in others:
                torch.testing.assert_close(other, added.grad, rtol=1e-4, atol=1e-5)

    def test_running_statistics_are_the_mean_of_both(self, answers):
        momentum = BatchNorm(1).momentum

        means = [float(each["statistics"]["running_mean"]) for each in answers]

        assert means == pytest.approx([3 * momentum] * 2)

    def test_together_they_see_each_image_once_an_epoch(self, answers):
        for one, other in zip(*(each["seen"]["images"] for each in answers), strict=True):
            assert len(one) == len(other) == 50
            assert len({*one, *other}) == 100

    def test_each_epoch_has_an_order_of_its_own(self, answers):
        first, second, third = answers[0]["seen"]["images"]

        assert first != second != third

    def test_the_images_of_both_are_reported(self, answers):
        assert [each["seen"]["reported"][0] for each in answers] == [100, 100]

    @pytest.mark.parametrize("training", ["plain", "net", "resumed"])
    def test_both_end_with_the_same_network(self, answers, training):
        one, other = (each[training] for each in answers)

        assert list(one) == list(other)
        assert [name for name in one if not torch.equal(one[name], other[name])] == []

    def test_they_take_the_steps_that_one_process_takes_alone(self, answers):
        alone = state(PLAIN, Circumstances())

        for name, tensor in alone.items():
            torch.testing.assert_close(answers[0]["plain"][name], tensor, rtol=1e-3, atol=1e-4)

    def test_a_training_that_was_interrupted_ends_as_one_that_was_not(self, answers):
        resumed, whole = answers[0]["resumed"], answers[0]["net"]

        assert [name for name in whole if not torch.equal(whole[name], resumed[name])] == []

    def test_a_process_whose_leader_fails_fails_as_well_and_does_not_wait_for_ever(self, answers):
        leader, other = (each["left alone"] for each in answers)

        assert leader == "No space left on device"
        assert "closed" in other or "reset" in other


def test_torchrun_exports_one_model_as_good_as_that_of_one_process(run_export, data_dir, tmp_path):
    arguments = ["lecture-cnn", "--epochs", "3", "--data-dir", str(data_dir), "--models-dir", str(tmp_path / "two")]
    command = [*TORCHRUN, "-m", "training.export", *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}

    ended = subprocess.run(
        command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False
    )

    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("Written to") == ended.stdout.count("360 images to train on") == 1
    assert sorted(path.name for path in (tmp_path / "two" / "lecture-cnn").iterdir() if path.is_dir()) == ["1"]
    run_export(tmp_path / "one", "lecture-cnn", "--epochs", "3")
    two, one = (Classifier.open(tmp_path / models / "lecture-cnn/1/model.onnx").card for models in ("two", "one"))
    assert two.metrics.accuracy == pytest.approx(one.metrics.accuracy, abs=0.1)
    assert two.metrics.accuracy > 0.8
    assert len(two.training.epoch_accuracy) == 3
