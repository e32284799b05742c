"""Files of weights and of trainings: what they give back, and what is refused."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from training.networks import CNN, MLP
from training.train.checkpoint import CheckpointError, SavedRun, load_weights

WHAT = {"name": "fashion-mlp", "seed": 1, "epochs": 30, "learning_rate": 4e-3, "flip": False, "teacher": None}
FOREIGN = {
    "empty": b"",
    "text": b"hello",
    "a dot": b".",
    "image": b"\x89PNG\r\n\x1a\n",
    "archive": b"PK\x03\x04 no archive",
    "pickle": pickle.dumps([1, 2], protocol=2),
}


class Trap:
    """An object whose unpickling creates a file."""

    def __init__(self, sprung: Path) -> None:
        self._sprung = sprung

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Path.touch, (self._sprung,)


class Interrupting:
    """An object in whose saving Ctrl-C is pressed."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        raise KeyboardInterrupt


def write_trap(file: Path, sprung: Path, how: str) -> None:
    if how == "by torch":
        torch.save({"2.weight": Trap(sprung)}, file)
    else:
        file.write_bytes(pickle.dumps(Trap(sprung), protocol=2))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where a test's file of weights is."""
    return tmp_path / "weights.pt"


class TestWeights:
    def test_they_are_those_of_the_network_that_was_saved(self, file):
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
        ids=["other network", "other classes", "empty", "numbers", "list", "tensor", "nothing"],
    )
    def test_other_things_that_torch_saves_are_refused(self, file, saved):
        torch.save(saved, file)

        with pytest.raises(CheckpointError, match=r"weights\.pt: not the weights of the recipe's network"):
            load_weights(MLP(), file)

    @pytest.mark.parametrize("number", [float("nan"), float("inf")])
    def test_those_that_are_no_finite_numbers_are_refused(self, file, number):
        weights = MLP().state_dict()
        weights["3.bias"][0] = number
        torch.save(weights, file)

        with pytest.raises(CheckpointError, match=r"weights\.pt: some of its weights are not finite numbers"):
            load_weights(MLP(), file)

    @pytest.mark.parametrize("place", ["nowhere.pt", "."], ids=["missing", "a folder"])
    def test_what_is_no_file_is_refused_by_name(self, tmp_path, place):
        with pytest.raises(CheckpointError, match=str(tmp_path / place)):
            load_weights(MLP(), tmp_path / place)


class TestSavedRun:
    @pytest.fixture
    def run(self, tmp_path: Path) -> SavedRun:
        """A place in a folder that is not there yet."""
        return SavedRun(tmp_path / "models" / ".checkpoints" / "fashion-mlp.pt", WHAT)

    def test_it_gives_back_what_was_saved_last(self, run):
        run.save({"epochs": [], "course": torch.zeros(3)})
        run.save({"epochs": [{"number": 1, "loss": 0.5}], "course": torch.ones(3)})

        state = run.load()

        assert state["epochs"] == [{"number": 1, "loss": 0.5}]
        assert torch.equal(state["course"], torch.ones(3))
        assert [path.name for path in run.file.parent.iterdir()] == ["fashion-mlp.pt"]

    def test_a_save_that_is_interrupted_leaves_the_old_file_whole(self, run):
        run.save({"step": 1})

        with pytest.raises(KeyboardInterrupt):
            run.save({"step": Interrupting()})

        assert run.load() == {"step": 1}

    def test_what_an_interrupted_save_left_does_not_stop_the_next(self, run):
        with pytest.raises(KeyboardInterrupt):
            run.save({"step": Interrupting()})

        run.save({"step": 2})

        assert run.load() == {"step": 2}

    def test_without_a_file_there_is_nothing_to_resume(self, run):
        with pytest.raises(CheckpointError, match=r"fashion-mlp\.pt: there is no training to resume; leave --resume"):
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
    def test_one_of_another_training_is_refused_with_all_that_differs(self, run, changed, reason):
        run.save({"step": 1})

        with pytest.raises(CheckpointError, match=rf"fashion-mlp\.pt: saved by another training: {reason}; leave"):
            SavedRun(run.file, WHAT | changed).load()

    @pytest.mark.parametrize("content", FOREIGN.values(), ids=FOREIGN)
    def test_a_foreign_file_is_refused(self, run, content):
        run.file.parent.mkdir(parents=True)
        run.file.write_bytes(content)

        with pytest.raises(CheckpointError, match=r"(?s)fashion-mlp\.pt: not a training .* here .* train anew"):
            run.load()

    def test_a_file_that_was_cut_off_is_refused(self, run):
        run.save({"course": torch.zeros(1_000)})
        run.file.write_bytes(run.file.read_bytes()[:-500])

        with pytest.raises(CheckpointError, match=r"fashion-mlp\.pt: not a training that was saved here"):
            run.load()

    @pytest.mark.parametrize("saved", [MLP().state_dict(), {"what": WHAT}, [1], None], ids=type)
    def test_other_things_that_torch_saves_are_refused(self, run, saved: Any):
        run.file.parent.mkdir(parents=True)
        torch.save(saved, run.file)

        with pytest.raises(CheckpointError, match=r"fashion-mlp\.pt: not a training that was saved here"):
            run.load()

    @pytest.mark.parametrize("how", ["by torch", "by pickle"])
    def test_code_in_it_is_not_run(self, tmp_path, run, how):
        run.file.parent.mkdir(parents=True)
        write_trap(run.file, tmp_path / "sprung", how)

        with pytest.raises(CheckpointError, match="not a training that was saved here"):
            run.load()

        assert not (tmp_path / "sprung").exists()
