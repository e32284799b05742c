import io

import pytest
from rich.console import Console

from training.progress import CONSOLE, DownloadBar, TrainingBar, say, stage, track


@pytest.fixture
def terminal(monkeypatch):
    """Have progress shown as on a terminal."""
    monkeypatch.setattr(CONSOLE, "is_interactive", True)


def test_a_download_bar_ends_on_the_bytes_received(capsys):
    with DownloadBar("file.gz") as bar:
        bar.total = 2_000
        bar.update(1_500)
        bar.reset()
        bar.update(2_000)
        bar.close()

    assert bar.total == 2_000
    assert "file.gz" in capsys.readouterr().err


def test_a_download_of_unknown_size_has_no_total():
    bar = DownloadBar("file.gz")

    bar.total = 0

    assert bar.total is None


@pytest.mark.parametrize(("seen", "epoch"), [(0, "1/3"), (99, "1/3"), (100, "1/3"), (101, "2/3"), (300, "3/3")])
def test_a_training_bar_shows_epoch_loss_and_accuracy(terminal, capsys, seen, epoch):
    with TrainingBar(epochs=3, images=100) as bar:
        bar.update(seen, 0.51234, 0.87654, 80.2)

    shown = capsys.readouterr().err
    assert f"epoch {epoch}" in shown
    assert "loss 0.5123" in shown
    assert "accuracy 0.8765" in shown
    assert "0:01:20 left" in shown


def test_a_training_off_a_terminal_prints_a_line_an_epoch_with_the_time_left(capsys):
    with TrainingBar(epochs=3, images=100) as bar:
        bar.update(100, 0.51234, 0.87654, 80.2)
        bar.end_epoch(1, 0.41234, 0.88888)

    assert capsys.readouterr().err == "epoch 1/3: validation loss 0.4123, accuracy 0.8889, 0:01:20 left\n"


def test_a_training_by_time_does_not_know_how_many_epochs_there_will_be(capsys):
    with TrainingBar(epochs=None, images=100) as bar:
        bar.update(300, 0.5, 0.5, 20)
        bar.end_epoch(3, 0.5, 0.5)

    assert capsys.readouterr().err.startswith("epoch 3: validation loss")


def test_in_a_long_epoch_off_a_terminal_lines_tell_the_time_left_every_half_minute(capsys):
    seconds = [0.0]
    with TrainingBar(epochs=3, images=100, clock=lambda: seconds[-1]) as bar:
        for images in (10, 15, 30, 31):
            seconds.append(2.0 * images + 5)
            bar.update(images, 0.5, 0.75, 100 - images)

    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "epoch 1/3: loss 0.5000, accuracy 0.7500, 0:01:25 left",
        "epoch 1/3: loss 0.5000, accuracy 0.7500, 0:01:10 left",
    ]


def test_tracked_items_are_all_there_and_off_a_terminal_they_print_one_line(capsys):
    assert list(track("Photos", iter("abc"), 3)) == ["a", "b", "c"]
    assert capsys.readouterr().err == "Photos\n"


def test_brackets_in_a_path_are_shown_beside_a_bar_as_they_are(terminal, capsys):
    path = "photos [2024]/[/teacher]/model.onnx"

    assert list(track(path, iter("abc"), 3)) == ["a", "b", "c"]
    assert path in capsys.readouterr().err


def test_tracked_items_have_a_bar_on_a_terminal(terminal, capsys):
    assert list(track("Photos", iter("abc"), 3)) == ["a", "b", "c"]
    assert "Photos" in (shown := capsys.readouterr().err)
    assert "100%" in shown


def test_progress_leaves_standard_output_to_the_results(terminal, capsys):
    stage("Reading")
    with TrainingBar(epochs=1, images=10) as bar:
        bar.update(10, 0.5, 0.5, 0)
        bar.end_epoch(1, 0.5, 0.5)
    list(track("Photos", [1], 1))

    assert capsys.readouterr().out == ""


def test_a_path_that_is_no_utf_8_is_printed_by_the_codes_of_its_bytes():
    terminal = io.TextIOWrapper(io.BytesIO(), "utf-8")

    say(Console(file=terminal), "Written to models/\udce8 [é]")

    terminal.seek(0)
    assert terminal.read() == "Written to models/\\udce8 [é]\n"
