import pytest
import torch

from training.train.devices import DEVICES, DeviceError, find_device


def test_the_processor_is_there_and_auto_finds_something():
    assert find_device("cpu") == torch.device("cpu")
    assert find_device("auto").type in DEVICES


@pytest.mark.parametrize("name", ["cuda", "mps"])
def test_a_device_that_is_not_there_is_refused_with_those_that_are(name):
    if getattr(torch, name).is_available():
        pytest.skip(f"this machine has {name}")

    with pytest.raises(DeviceError, match=rf"--device {name}: .* there is .*cpu"):
        find_device(name)


@pytest.mark.parametrize(
    ("there", "fastest"), [(("cuda", "mps", "cpu"), "cuda"), (("mps", "cpu"), "mps"), (("cpu",), "cpu")]
)
def test_auto_is_the_fastest_of_those_there(monkeypatch, there, fastest):
    for name in DEVICES:
        monkeypatch.setitem(DEVICES, name, lambda name=name: name in there)

    assert find_device("auto") == torch.device(fastest)
    assert [find_device(name).type for name in there] == list(there)
