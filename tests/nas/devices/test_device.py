"""Names of devices, and PyTorch's settings as they were before."""

import pytest
import torch
from torch.utils import deterministic

from nas import InputError
from nas.devices.device import computes_bf16, device_kind, find_device, reproducible


@pytest.mark.parametrize("name", ["", "cpu:", "cuda:", "cuda:x", "cuda:-1", "tpu"])
def test_unknown_devices(name):
    with pytest.raises(InputError, match="unknown device"):
        find_device(name)


@pytest.mark.skipif(torch.backends.mps.is_available(), reason="this machine has a GPU of Apple's")
def test_a_gpu_of_apples_that_is_not_there():
    with pytest.raises(InputError, match="'mps' is not there"):
        find_device("mps")


def test_a_gpu_of_apples_is_a_kind_of_its_own(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    device = find_device("mps")
    assert device_kind(device)["type"] == "mps"
    assert not computes_bf16(device)


@pytest.mark.parametrize("filled", [True, False])
def test_what_a_gpu_is_set_to_is_taken_back(monkeypatch, filled):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    monkeypatch.setattr(deterministic, "fill_uninitialized_memory", filled)
    with reproducible(torch.device("cuda"), True):
        assert torch.are_deterministic_algorithms_enabled()
        assert not deterministic.fill_uninitialized_memory
    assert not torch.are_deterministic_algorithms_enabled()
    assert deterministic.fill_uninitialized_memory == filled
