import os
import platform
import subprocess
import sys

import pytest
import torch

from runtime import precision
from runtime.precision import Device, choose_precision, find_device, name_fastest, time_precisions

T4 = Device("cuda", "Tesla T4", has_bf16=False)
A100 = Device("cuda", "NVIDIA A100", has_bf16=True)
APPLE = Device("mps", "Apple GPU", has_bf16=False)
CPU = Device("cpu", "CPU", has_bf16=None)


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
def test_a_requested_precision_wins(asked, device, precision):
    chosen, line = choose_precision(asked, device)
    assert chosen == precision
    assert "as asked for" in line
    assert device.name in line


@pytest.mark.parametrize("asked", ["bf16", "bf16-mixed", "bf16-true"])
@pytest.mark.parametrize("device", [T4, APPLE])
def test_bf16_is_refused_if_the_hardware_has_none(asked, device):
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


def pretend_times(monkeypatch: pytest.MonkeyPatch, fp32_s: float, bf16_s: float) -> None:
    times_s = {torch.float32: fp32_s, torch.bfloat16: bf16_s}
    monkeypatch.setattr(precision, "time_product", lambda dtype, kind="cpu": times_s[dtype])


@pytest.mark.parametrize("asked", ["bf16", "bf16-mixed", "bf16-true"])
def test_a_cpu_without_bf16_instructions_obeys_and_names_the_measured_factor(monkeypatch, asked):
    pretend_times(monkeypatch, fp32_s=0.0005, bf16_s=0.03)
    chosen, line = choose_precision(asked, find_device("cpu"))
    assert chosen.startswith("bf16")
    assert "as asked for, but its products take 60 times as long as in fp32. Leave it out for fp32." in line
    assert "\n" not in line


@pytest.mark.parametrize("bf16_s", [0.0002, 0.0006])
def test_a_cpu_with_bf16_instructions_is_not_warned_of(monkeypatch, bf16_s):
    pretend_times(monkeypatch, fp32_s=0.0005, bf16_s=bf16_s)
    assert choose_precision("bf16", find_device("cpu")) == ("bf16-mixed", "Precision bf16-mixed on CPU: as asked for.")


def test_nothing_is_timed_unless_bf16_is_asked_for(monkeypatch):
    monkeypatch.setattr(precision, "time_product", lambda *args: pytest.fail("timed"))
    choose_precision("32", find_device("cpu"))
    choose_precision(None, find_device("cpu"))


def test_the_fastest_precision_is_named():
    line = name_fastest("A product", {"32-true": 0.0005, "bf16-mixed": 0.03}, "--trainer.precision")
    assert line == "A product: 0.5 ms in 32-true, 30 ms in bf16-mixed. The fastest here: --trainer.precision 32-true"


def test_fits_on_a_cpu_are_timed_in_their_own_precisions():
    times_s = time_precisions("cpu")
    assert times_s.keys() == {"32-true", "bf16-mixed"}
    assert all(0 < seconds < 10 for seconds in times_s.values())
    for name in times_s:
        assert choose_precision(name, CPU)[0] == name


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="the instructions of x86 are withheld")
def test_a_processor_whose_bf16_instructions_are_withheld_is_warned_of():
    code = "from runtime.precision import *; print(choose_precision('bf16', find_device('cpu'))[1])"
    environment = os.environ | {"ONEDNN_MAX_CPU_ISA": "AVX2", "OMP_NUM_THREADS": "1"}
    found = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert "times as long as in fp32" in found.stdout
