import pytest

from training.progress import DownloadBar, TrainingBar


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


@pytest.mark.parametrize(("seen", "epoch"), [(0, "1/3"), (99, "1/3"), (100, "2/3"), (299, "3/3"), (300, "3/3")])
def test_a_training_bar_shows_epoch_loss_and_accuracy(capsys, seen, epoch):
    with TrainingBar(epochs=3, images=100) as bar:
        bar.update(seen, 0.51234, 0.87654)

    shown = capsys.readouterr().err
    assert f"epoch {epoch}" in shown
    assert "loss 0.5123" in shown
    assert "accuracy 0.8765" in shown


def test_bars_leave_standard_output_to_the_results(capsys):
    with TrainingBar(epochs=1, images=10) as bar:
        bar.update(10, 0.5, 0.5)

    assert capsys.readouterr().out == ""
