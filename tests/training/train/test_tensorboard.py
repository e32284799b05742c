import sys

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from training.train.tensorboard import LogError, tensorboard
from training.train.trainer import Epoch

EPOCHS = [Epoch(n, 1 / n, 1 - 0.3 / n, 1.2 / n, 0.9 - 0.4 / n, 0.1 / n, 2.5) for n in (1, 2, 3)]


def test_tensorboard_reads_back_what_was_written(tmp_path):
    with tensorboard(tmp_path / "logs") as write:
        for epoch in EPOCHS:
            write(epoch)

    events = EventAccumulator(str(tmp_path / "logs"))
    events.Reload()
    names = {"loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "seconds"}
    assert set(events.Tags()["scalars"]) == names
    for name in names:
        written = [(event.step, event.value) for event in events.Scalars(name)]
        assert written == [(epoch.number, pytest.approx(getattr(epoch, name))) for epoch in EPOCHS]


def test_an_epoch_can_be_read_before_the_training_ends(tmp_path):
    with tensorboard(tmp_path) as write:
        write(EPOCHS[0])

        events = EventAccumulator(str(tmp_path))
        events.Reload()
        assert len(events.Scalars("loss")) == 1


def test_without_tensorboard_the_message_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)

    with pytest.raises(LogError, match="pip install tensorboard"), tensorboard(tmp_path):
        pass
