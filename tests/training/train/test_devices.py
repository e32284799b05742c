import pytest
import torch

from training.train.devices import DEVICES, DeviceError, find_device


def test_the_processor_is_available_and_auto_finds_a_device():
    assert find_device("cpu") == torch.device("cpu")
    assert find_device("auto").type in DEVICES


@pytest.mark.parametrize("name", ["cuda", "mps"])
def test_a_device_that_is_not_available_is_refused_with_those_that_are(name):
    if getattr(torch, name).is_available():
        pytest.skip(f"this machine has {name}")

    with pytest.raises(DeviceError, match=rf"--device {name}: .* available: .*cpu"):
        find_device(name)


@pytest.mark.parametrize(
    ("available", "fastest"), [(("cuda", "mps", "cpu"), "cuda"), (("mps", "cpu"), "mps"), (("cpu",), "cpu")]
)
def test_auto_is_the_fastest_available(monkeypatch, available, fastest):
    for name in DEVICES:
        monkeypatch.setitem(DEVICES, name, lambda name=name: name in available)

    assert find_device("auto") == torch.device(fastest)
    assert [find_device(name).type for name in available] == list(available)
