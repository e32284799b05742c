"""Images are decoded in processes that end with their time, with their memory, and with the service."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import gevent
import pytest
from pictures import (
    damaged_fax,
    inflating_text,
    large_tile,
    many_scans,
    noise,
    oriented,
    quarters,
    saved,
    tiff_of_many_samples,
    understated_avif,
)
from polling import wait_until

from serving.errors import BadRequest, Overloaded, TooManyPixels, UnreadableImage
from serving.imaging.decoding import PixelBudget, configure_pillow, decode, read_header
from serving.inference.decoders import Decoders
from serving.inference.timings import Timings
from serving.settings import MAX_COUNT

ROOT = Path(__file__).parents[3]
SLOW = many_scans(2_000, 4_000)  # half a minute


@pytest.fixture
def ended():
    return []


@pytest.fixture
def decoders(ended):
    decoders = Decoders(60.0, ended.append)
    yield decoders
    decoders.close()


@pytest.fixture
def limits(monkeypatch):
    """Set the seconds of the processor for an image, in either lane."""

    def set_limits(quick, slow):
        monkeypatch.setattr("serving.inference.decoders.QUICK_SECONDS", quick)
        monkeypatch.setattr("serving.inference.decoders.SLOW_SECONDS", slow)

    return set_limits


def ask(decoders, upload, budget=None, min_side=0, seconds=60.0):
    budget = budget or PixelBudget(50_000_000)
    return decoders.decode(upload, budget, min_side, Timings(), time.monotonic() + seconds)


def test_the_largest_limit_of_pixels_that_can_be_set_still_decodes(decoders, ended):
    decoded = ask(decoders, saved(quarters(400, 200), "PNG"), PixelBudget(MAX_COUNT))

    assert decoded.image.size == (400, 200)
    assert not ended


def descendants(process: int) -> list[int]:
    """Return the processes below this one."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    pairs = [tuple(map(int, line.split())) for line in listed.splitlines()]
    children = [pid for pid, parent in pairs if parent == process]
    return [found for child in children for found in (child, *descendants(child))]


def decoding(process: int) -> list[int]:
    """Return those of them that decode, and their parent."""
    found = []
    for pid in descendants(process):
        try:
            if b"serving.imaging.decoder" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
        except OSError:  # it has ended
            continue
    return found


@pytest.fixture(scope="module", autouse=True)
def _pillow_as_in_the_service():
    configure_pillow()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "PPM", "HEIF"])
def test_a_process_decodes_as_this_one_does(decoders, kind):
    upload = saved(quarters(), kind)
    here = decode(read_header(upload, PixelBudget(50_000_000)))

    there = ask(decoders, upload)

    assert (there.image.mode, there.image.size, there.steps) == (here.image.mode, here.image.size, here.steps)
    assert there.image.tobytes() == here.image.tobytes()


def test_a_large_photo_comes_back_as_large_as_is_needed_and_upright(decoders):
    photo = ask(decoders, saved(quarters(1600, 1200), "JPEG", exif=oriented(6)), min_side=256)

    assert photo.image.size == (300, 400)
    assert photo.steps == ("rotated",)


@pytest.mark.parametrize(
    ("upload", "refusal"), [(b"", BadRequest), (b"hello", UnreadableImage), (large_tile(8_192), TooManyPixels)]
)
def test_a_refusal_comes_back_as_it_is(decoders, upload, refusal, ended):
    with pytest.raises(refusal) as here:
        decode(read_header(upload, PixelBudget(50_000_000)))
    with pytest.raises(refusal) as there:
        ask(decoders, upload)

    assert str(there.value) == str(here.value)
    assert ended == []


def test_the_pixels_of_a_request_are_counted_from_image_to_image(decoders):
    budget = PixelBudget(1_000)

    for _ in range(4):
        ask(decoders, saved(quarters(), "WEBP"), budget)

    assert budget.left == 160
    with pytest.raises(TooManyPixels, match="Send this image in another request"):
        ask(decoders, saved(quarters(), "WEBP"), budget)


def test_an_image_that_takes_too_long_is_refused_and_the_next_is_decoded(limits, ended):
    limits(0.1, 0.3)
    decoders = Decoders(60.0, ended.append)

    with pytest.raises(UnreadableImage, match=r"takes more than 0\.3 s to decode\. Make it smaller"):
        ask(decoders, SLOW)

    assert ended == ["time"]
    assert ask(decoders, saved(quarters(), "WEBP")).image.size == (40, 24)
    decoders.close()


def test_quick_images_do_not_wait_for_slow_ones(limits):
    limits(0.5, 60.0)
    decoders = Decoders(60.0)
    slow = gevent.spawn(ask, decoders, SLOW)
    gevent.sleep(0)

    images = [ask(decoders, saved(quarters(), "WEBP")) for _ in range(10)]

    assert not slow.ready()
    assert len(images) == 10
    slow.kill()
    decoders.close()


def test_an_image_that_waits_too_long_for_its_turn_is_refused():
    decoders = Decoders(0.05)
    slow = gevent.spawn(ask, decoders, SLOW)
    gevent.sleep(0)

    with pytest.raises(Overloaded, match=r"waited for 0\.05 s while other images were decoded; ask again"):
        ask(decoders, saved(quarters(), "WEBP"))

    slow.kill()
    decoders.close()


def test_an_image_that_comes_after_its_requests_time_is_refused(decoders):
    with pytest.raises(Overloaded, match="images took more than 15 s; send this one in another request"):
        ask(decoders, saved(quarters(), "WEBP"), seconds=0)


def test_an_image_that_takes_more_memory_than_its_pixels_should_is_refused(decoders, ended):
    with pytest.raises(UnreadableImage, match="take too much memory to decode"):
        ask(decoders, inflating_text(60), PixelBudget(1_000))

    assert ended == ["memory"]


def test_an_image_that_has_more_pixels_than_it_declares_is_refused(decoders):
    with pytest.raises(UnreadableImage):
        ask(decoders, understated_avif(6_400, 64))


def test_a_job_that_its_process_does_not_survive_is_refused(decoders, ended, capfd):
    with pytest.raises(UnreadableImage, match="makes its decoder fail"):
        ask(decoders, saved(quarters(), "WEBP"), min_side="no number")

    assert ended == ["crash"]
    assert "ValidationError" in capfd.readouterr().err


def test_a_damaged_image_does_not_fill_the_log(decoders, capfd):
    ask(decoders, damaged_fax(1_000))

    assert capfd.readouterr().err == ""


def test_an_image_that_pillow_calls_an_error_adds_no_line_to_the_log(decoders, capfd):
    with pytest.raises(UnreadableImage):
        ask(decoders, tiff_of_many_samples())

    assert capfd.readouterr().err == ""


def test_processes_that_were_killed_are_replaced(decoders):
    ask(decoders, saved(quarters(), "WEBP"))
    for process in decoding(os.getpid()):
        os.kill(process, signal.SIGKILL)
    wait_until(lambda: not decoding(os.getpid()))

    assert ask(decoders, saved(quarters(), "WEBP")).image.size == (40, 24)


def test_a_process_that_has_decoded_many_images_is_replaced(decoders, monkeypatch):
    monkeypatch.setattr("serving.inference.decoders.MAX_JOBS", 2)
    processes = []

    for _ in range(3):
        ask(decoders, saved(quarters(), "WEBP"))
        processes.append(set(decoding(os.getpid())))

    assert len(processes[2] - processes[0]) == 1


def test_where_no_process_can_be_started_the_image_is_not_to_blame(ended, monkeypatch):
    decoders = Decoders(60.0, ended.append)

    with monkeypatch.context() as patched:
        patched.setattr(sys, "executable", "/nonexistent")
        with pytest.raises(Overloaded, match="No process can be started to decode the image: No such file"):
            ask(decoders, saved(quarters(), "WEBP"))

    assert ended == []
    assert ask(decoders, saved(quarters(), "WEBP")).image.size == (40, 24)
    decoders.close()


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited on Linux")
def test_images_are_decoded_where_memory_has_a_limit_already():
    program = [sys.executable, "-c", TWO_IMAGES]

    with subprocess.Popen(["sh", "-c", 'ulimit -v 8000000; exec "$@"', "sh", *program], cwd=ROOT) as service:
        assert service.wait(60) == 0


TWO_IMAGES = """
import sys, time; sys.path.insert(0, "tests/serving")
from pictures import quarters, saved
from serving.imaging.decoding import PixelBudget
from serving.inference.decoders import Decoders
from serving.inference.timings import Timings

decoders = Decoders(60.0)
for _ in range(2):
    job = saved(quarters(), "WEBP"), PixelBudget(50_000_000), 0, Timings(), time.monotonic() + 60
    assert decoders.decode(*job).image.size == (40, 24)
decoders.close()
"""


def test_no_process_is_left_when_decoders_are_closed():
    before = set(decoding(os.getpid()))
    decoders = Decoders(60.0)
    ask(decoders, saved(noise(), "WEBP"))
    assert len(set(decoding(os.getpid())) - before) == 2

    decoders.close()

    wait_until(lambda: set(decoding(os.getpid())) <= before)


PROGRAM = """
import sys, time; sys.path.insert(0, "tests/serving")
from pictures import many_scans
from serving.imaging.decoding import PixelBudget
from serving.inference.decoders import Decoders
from serving.inference.timings import Timings

decoders = Decoders(60.0)
job = many_scans(2_000, 4_000), PixelBudget(50_000_000), 0, Timings(), time.monotonic() + 60
decoders.decode(*job)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a process ends with the image's time")
def test_no_process_is_left_in_the_midst_of_an_image_when_the_service_is_killed():
    with subprocess.Popen([sys.executable, "-c", PROGRAM], cwd=ROOT) as service:
        wait_until(lambda: len(decoding(service.pid)) == 2)
        processes = decoding(service.pid)
        service.kill()

    wait_until(lambda: not any(Path(f"/proc/{process}").exists() for process in processes))
