"""Checkpoint files: weights and trainings are restored, and foreign files are refused."""

import pickle
import resource
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from training.networks.cnn import CNN
from training.networks.mlp import MLP
from training.train.checkpoint import CheckpointError, SavedRun, load_weights

IDENTITY = {"name": "fashion-mlp", "seed": 1, "epochs": 30, "learning_rate": 4e-3, "flip": False, "teacher": None}
FOREIGN = {
    "empty": b"",
    "text": b"hello",
    "a dot": b".",
    "image": b"\x89PNG\r\n\x1a\n",
    "archive": b"PK\x03\x04 not an archive",
    "pickle": pickle.dumps([1, 2], protocol=2),
}


class Trap:
    """An object whose unpickling creates a file."""

    def __init__(self, sprung: Path) -> None:
        self._sprung = sprung

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Path.touch, (self._sprung,)


class Interrupting:
    """An object that raises KeyboardInterrupt when it is saved."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        raise KeyboardInterrupt


def write_trap(file: Path, sprung: Path, how: str) -> None:
    if how == "by torch":
        torch.save({"2.weight": Trap(sprung)}, file)
    else:
        file.write_bytes(pickle.dumps(Trap(sprung), protocol=2))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The path of a test's file of weights."""
    return tmp_path / "weights.pt"


@pytest.fixture
def full_disk() -> Iterator[None]:
    """Files may grow to 10,000 bytes, and no further."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


class TestWeights:
    def test_they_are_those_of_the_saved_network(self, file):
        saved, loaded = MLP(), MLP()
        torch.save(saved.state_dict(), file)

        load_weights(loaded, file)

        assert all(map(torch.equal, loaded.parameters(), saved.parameters()))

    @pytest.mark.parametrize("how", ["by torch", "by pickle"])
    def test_code_among_them_is_not_run(self, tmp_path, file, how):
        write_trap(file, tmp_path / "sprung", how)

        with pytest.raises(CheckpointError, match=r"weights\.pt: not the weights"):
            load_weights(MLP(), file)

        assert not (tmp_path / "sprung").exists()

    @pytest.mark.parametrize("content", FOREIGN.values(), ids=FOREIGN)
    def test_a_foreign_file_is_refused(self, file, content):
        file.write_bytes(content)

        with pytest.raises(CheckpointError, match=r"weights\.pt: not the weights of the recipe's network"):
            load_weights(MLP(), file)

    @pytest.mark.parametrize(
        "saved",
        [CNN().state_dict(), MLP(classes=4).state_dict(), {}, {1: 2}, [1], torch.zeros(3), None],
        ids=["other network", "other classes", "empty", "numbers", "list", "tensor", "None"],
    )
    def test_other_things_that_torch_saves_are_refused(self, file, saved):
        torch.save(saved, file)

        with pytest.raises(CheckpointError, match=r"weights\.pt: not the weights of the recipe's network"):
            load_weights(MLP(), file)

    @pytest.mark.parametrize("how", ["by torch", "by pickle", "image"])
    def test_the_message_does_not_advise_to_run_code_in_the_file(self, tmp_path, file, how):
        if how == "image":
            file.write_bytes(FOREIGN["image"])
        else:
            write_trap(file, tmp_path / "sprung", how)

        messages = []
        for load in (lambda: load_weights(MLP(), file), SavedRun(file, IDENTITY).load):
            with pytest.raises(CheckpointError) as refusal:
                load()
            messages.append(str(refusal.value))

        assert all("it holds something else than tensors, or is damaged" in message for message in messages)
        assert not any("weights_only" in message for message in messages)

    def test_the_message_does_not_name_hundreds_of_weights(self, file):
        torch.save({f"{number}.weight": torch.zeros(1) for number in range(999)}, file)

        with pytest.raises(CheckpointError) as refusal:
            load_weights(MLP(), file)

        assert len(str(refusal.value)) < 600

    @pytest.mark.parametrize("number", [float("nan"), float("inf")])
    def test_weights_that_are_nan_or_infinite_are_refused(self, file, number):
        weights = MLP().state_dict()
        weights["3.bias"][0] = number
        torch.save(weights, file)

        with pytest.raises(CheckpointError, match=r"weights\.pt: some of its weights are NaN or infinite"):
            load_weights(MLP(), file)

    @pytest.mark.parametrize(
        ("place", "reason"),
        [("nowhere.pt", "nowhere.pt: no such file"), ("folder", "folder: not the weights of the recipe's network")],
    )
    def test_a_path_that_is_not_a_file_is_refused_by_name(self, tmp_path, place, reason):
        (tmp_path / "folder").mkdir()

        with pytest.raises(CheckpointError, match=f"{tmp_path}/{reason}"):
            load_weights(MLP(), tmp_path / place)


class TestSavedRun:
    @pytest.fixture
    def run(self, tmp_path: Path) -> SavedRun:
        """A run whose folder does not exist yet."""
        return SavedRun(tmp_path / "models" / ".checkpoints" / "fashion-mlp.pt", IDENTITY)

    def test_it_loads_the_state_that_was_saved_last(self, run):
        run.save({"epochs": [], "trainer": torch.zeros(3)})
        run.save({"epochs": [{"number": 1, "loss": 0.5}], "trainer": torch.ones(3)})

        state = run.load()

        assert state["epochs"] == [{"number": 1, "loss": 0.5}]
        assert torch.equal(state["trainer"], torch.ones(3))
        assert [path.name for path in run.file.parent.iterdir()] == ["fashion-mlp.pt"]

    def test_an_interrupted_save_leaves_the_old_file_whole(self, run):
        run.save({"step": 1})

        with pytest.raises(KeyboardInterrupt):
            run.save({"step": Interrupting()})

        assert run.load() == {"step": 1}
        assert [path.name for path in run.file.parent.iterdir()] == ["fashion-mlp.pt"]

    @pytest.mark.usefixtures("full_disk")
    def test_a_full_disk_leaves_the_old_file_whole_and_is_told(self, run):
        run.save({"step": 1})

        with pytest.raises(
            CheckpointError, match=r"fashion-mlp\.pt: cannot be written, .* disk is full .* same command with --resume$"
        ):
            run.save({"step": torch.zeros(10_000)})

        assert run.load() == {"step": 1}
        assert [path.name for path in run.file.parent.iterdir()] == ["fashion-mlp.pt"]

    def test_an_interrupted_save_does_not_stop_the_next(self, run):
        with pytest.raises(KeyboardInterrupt):
            run.save({"step": Interrupting()})

        run.save({"step": 2})

        assert run.load() == {"step": 2}

    def test_without_a_file_there_is_nothing_to_resume(self, run):
        with pytest.raises(CheckpointError, match=r"fashion-mlp\.pt: no saved training to resume; leave --resume"):
            run.load()

    @pytest.mark.parametrize(
        ("changed", "reason"),
        [
            ({"seed": 2}, "seed 1, not 2"),
            ({"epochs": 31}, "epochs 30, not 31"),
            ({"data": "ab"}, "data None, not ab"),
            ({"teacher": "fashion-net"}, "teacher None, not fashion-net"),
            ({"seed": 2, "flip": True}, "seed 1, not 2; flip False, not True"),
        ],
    )
    def test_the_file_of_another_training_is_refused_with_all_that_differs(self, run, changed, reason):
        run.save({"step": 1})

        with pytest.raises(CheckpointError, match=rf"fashion-mlp\.pt: saved by another training: {reason}; leave"):
            SavedRun(run.file, IDENTITY | changed).load()

    def test_so_is_that_of_one_that_more_values_decided(self, run):
        SavedRun(run.file, IDENTITY | {"views": 8}).save({"step": 1})

        with pytest.raises(CheckpointError, match="saved by another training: views 8, not None; leave"):
            run.load()

    @pytest.mark.parametrize("content", FOREIGN.values(), ids=FOREIGN)
    def test_a_foreign_file_is_refused(self, run, content):
        run.file.parent.mkdir(parents=True)
        run.file.write_bytes(content)

        with pytest.raises(
            CheckpointError, match=r"(?s)fashion-mlp\.pt: not a training saved by training.export .* train anew"
        ):
            run.load()

    def test_a_truncated_file_is_refused(self, run):
        run.save({"trainer": torch.zeros(1_000)})
        run.file.write_bytes(run.file.read_bytes()[:-500])

        with pytest.raises(CheckpointError, match=r"fashion-mlp\.pt: not a training saved by training.export"):
            run.load()

    @pytest.mark.parametrize("saved", [MLP().state_dict(), {"identity": IDENTITY}, [1], None], ids=type)
    def test_other_things_that_torch_saves_are_refused(self, run, saved: Any):
        run.file.parent.mkdir(parents=True)
        torch.save(saved, run.file)

        with pytest.raises(CheckpointError, match=r"fashion-mlp\.pt: not a training saved by training.export"):
            run.load()

    @pytest.mark.parametrize("how", ["by torch", "by pickle"])
    def test_code_in_it_is_not_run(self, tmp_path, run, how):
        run.file.parent.mkdir(parents=True)
        write_trap(run.file, tmp_path / "sprung", how)

        with pytest.raises(CheckpointError, match=r"not a training saved by training\.export"):
            run.load()

        assert not (tmp_path / "sprung").exists()
