import pytest
import torch

from runtime.precision import Device, choose_precision, find_device

T4 = Device("cuda", "Tesla T4", has_bf16=False)
A100 = Device("cuda", "NVIDIA A100", has_bf16=True)
APPLE = Device("mps", "Apple GPU", has_bf16=False)
CPU = Device("cpu", "CPU", has_bf16=True)


@pytest.mark.parametrize(
    ("device", "precision", "why"),
    [
        (T4, "16-mixed", "no bf16"),
        (A100, "bf16-mixed", "no loss scaling"),
        (CPU, "32-true", "exact"),
        (APPLE, "32-true", "exact"),
    ],
)
def test_each_device_gets_its_best_and_a_line_that_says_why(device, precision, why):
    chosen, line = choose_precision(None, device)
    assert chosen == precision
    assert precision in line
    assert device.name in line
    assert why in line


@pytest.mark.parametrize(
    ("asked", "device", "precision"),
    [
        ("32", A100, "32-true"),
        (32, A100, "32-true"),
        ("64", CPU, "64-true"),
        ("16", T4, "16-mixed"),
        ("bf16", CPU, "bf16-mixed"),
        ("bf16-true", A100, "bf16-true"),
        ("32-true", T4, "32-true"),
    ],
)
def test_what_is_asked_for_wins(asked, device, precision):
    chosen, line = choose_precision(asked, device)
    assert chosen == precision
    assert "as asked for" in line
    assert device.name in line


@pytest.mark.parametrize("asked", ["bf16", "bf16-mixed", "bf16-true"])
@pytest.mark.parametrize("device", [T4, APPLE])
def test_bf16_is_refused_where_the_hardware_has_none(asked, device):
    with pytest.raises(ValueError, match=f"{asked} was asked.*{device.name}.*--trainer.precision 16-mixed"):
        choose_precision(asked, device)


@pytest.mark.parametrize("asked", ["16", 16, "16-mixed", "16-true"])
def test_fp16_is_refused_on_a_cpu(asked):
    with pytest.raises(ValueError, match=f"{asked} was asked.*--trainer.precision bf16-mixed"):
        choose_precision(asked, CPU)


def pretend(monkeypatch, has_cuda: bool, has_mps: bool) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_cuda)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Tesla T4")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: has_mps)


def test_emulated_bf16_does_not_count(monkeypatch):
    pretend(monkeypatch, has_cuda=True, has_mps=False)
    assert find_device("auto") == T4


@pytest.mark.parametrize(
    ("accelerator", "has_cuda", "has_mps", "kind"),
    [
        ("auto", True, True, "cuda"),
        ("auto", False, True, "mps"),
        ("auto", False, False, "cpu"),
        ("gpu", True, False, "cuda"),
        ("gpu", False, True, "mps"),
        ("cpu", True, True, "cpu"),
        ("mps", True, True, "mps"),
    ],
)
def test_the_device_is_the_one_that_lightning_will_use(monkeypatch, accelerator, has_cuda, has_mps, kind):
    pretend(monkeypatch, has_cuda, has_mps)
    assert find_device(accelerator).kind == kind
