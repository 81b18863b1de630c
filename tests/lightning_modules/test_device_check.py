import copy
from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch.plugins.precision import MixedPrecision, Precision
from torch import nn

from lightning_modules import device_check
from lightning_modules.device_check import (
    GIB,
    MARGIN,
    MEASURED_BATCH_SIZES,
    MemoryNeed,
    check_card,
    check_fit,
    check_kernels,
    find_shortage,
    measure_memory,
    synthetic_batch,
)
from tests.lightning_modules.tiny import (
    tiny_bottom,
    tiny_classifier,
    tiny_codes,
    tiny_photos,
    tiny_sounds,
    tiny_top,
    tiny_vqvae,
)

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
MAKERS = (tiny_vqvae, tiny_top, tiny_bottom, tiny_classifier)
WHEEL = ["sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120"]
NEED = MemoryNeed("BottomPrior", fixed_bytes=1 * GIB, sample_bytes=0.5 * GIB)


@pytest.mark.parametrize(
    ("capability", "arch_list"),
    [
        ((7, 5), WHEEL),
        ((8, 9), WHEEL),  # the same major, a higher minor
        ((12, 0), WHEEL),
        ((9, 0), ["sm_90a"]),
        ((10, 3), ["sm_100f"]),
        ((12, 0), ["sm_80", "compute_80"]),  # translated when it is first used
        ((9, 0), ["gfx90a", "gfx942"]),  # not NVIDIA's
        ((6, 0), []),
    ],
)
def test_a_card_that_there_is_code_for_passes(capability, arch_list):
    check_kernels("some card", capability, arch_list)


@pytest.mark.parametrize(
    ("capability", "arch_list"),
    [
        ((6, 0), WHEEL),
        ((8, 0), ["sm_75", "sm_86"]),  # a lower minor
        ((11, 0), WHEEL),
        ((9, 1), ["sm_90a", "compute_90a"]),
        ((7, 0), ["compute_75"]),
    ],
)
def test_a_card_that_there_is_no_code_for_is_refused(capability, arch_list):
    with pytest.raises(ValueError, match=f"some card.*sm_{capability[0]}{capability[1]}.*{arch_list[0]}"):
        check_kernels("some card", capability, arch_list)


def test_the_line_says_what_to_do():
    old = (
        r"Tesla P100.*sm_60.*sm_75, sm_80.*'T4 x2'.*CUDA 12.6 \(torch 2.14 at most\).*still has sm_60.*accelerator cpu"
    )
    with pytest.raises(ValueError, match=old) as error:
        check_kernels("Tesla P100-PCIE-16GB", (6, 0), WHEEL)
    assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="Install a newer torch"):
        check_kernels("new card", (13, 0), WHEEL)
    with pytest.raises(ValueError, match="Choose another card") as error:
        check_kernels("Tesla K80", (3, 7), WHEEL)
    assert "12.6" not in str(error.value)


def pretend_p100(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda *device: "Tesla P100")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: False)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (6, 0))
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: WHEEL)


def test_only_a_card_that_will_be_used_is_checked(monkeypatch):
    pretend_p100(monkeypatch)
    check_card("cpu")
    with pytest.raises(ValueError, match="Tesla P100 cannot be used"):
        check_card("auto")


@pytest.mark.parametrize(
    ("make", "batch", "image_size"),
    [
        (tiny_vqvae, tiny_sounds(4), 0),
        (tiny_top, tiny_codes(4), 0),
        (tiny_bottom, tiny_codes(4), 0),
        (tiny_classifier, tiny_photos(4), 32),
    ],
)
def test_a_synthetic_batch_has_the_shapes_of_a_real_one(make, batch, image_size):
    synthetic = synthetic_batch(make(), 4, image_size)
    for name, values in synthetic.items():
        assert (values.shape, values.dtype) == (batch[name].shape, batch[name].dtype), name


def test_tensors_are_counted_while_they_are_alive():
    weight = torch.zeros(100)  # there before
    with device_check._LiveBytes() as live:
        first = torch.zeros(1000)
        view = first.view(10, 100)
        view += weight
        assert live.now == 4000
        second = view + 1
        assert live.now == 8000
        del first
        assert live.now == 8000, "the view holds it"
        del view
        assert live.now == 4000
        del second
    assert (live.now, live.peak) == (0, 8000)


def test_activations_are_what_the_backward_pass_waits_for():
    layers = nn.Sequential(*(nn.Linear(100, 100) for _ in range(4)))
    batch = torch.randn(1000, 100)
    with device_check._LiveBytes() as live, torch.no_grad():
        layers(batch)
    assert live.peak == 2 * batch.nbytes
    with device_check._LiveBytes() as live:
        layers(batch).sum().backward()
    assert 4 * batch.nbytes <= live.peak < 6 * batch.nbytes


@pytest.mark.parametrize("make", MAKERS)
def test_the_line_through_two_small_batches_meets_a_larger_one(make, monkeypatch):
    torch.manual_seed(0)
    system = make()
    need = measure_memory(system, CPU, Precision(), image_size=32)
    monkeypatch.setattr(device_check, "MEASURED_BATCH_SIZES", (16, 17))
    larger = measure_memory(system, CPU, Precision(), image_size=32)
    assert need.name == type(system).__name__
    assert need.gib(16) == pytest.approx(larger.gib(16), rel=0.05)
    weight_bytes = sum(parameter.nbytes for parameter in system.parameters())
    assert need.fixed_bytes >= MARGIN * 4 * weight_bytes
    assert need.sample_bytes > 0


def test_less_is_needed_with_checkpointed_activations_and_in_half_precision():
    system = tiny_top()
    plain = measure_memory(system, CPU, Precision())
    half = measure_memory(system, CPU, MixedPrecision("bf16-mixed", "cpu"))
    assert half.sample_bytes < plain.sample_bytes
    layers = system.network.transformer.blocks
    layers.extend(copy.deepcopy(layers[0]) for _ in range(7))
    plain = measure_memory(system, CPU, Precision())
    system.network.transformer.activation_checkpointing = True
    assert measure_memory(system, CPU, Precision()).sample_bytes < plain.sample_bytes / 2


def test_measuring_leaves_no_trace():
    for make in MAKERS:
        system = make().eval()
        state, random_state = copy.deepcopy(system.state_dict()), torch.get_rng_state()
        measure_memory(system, CPU, Precision(), image_size=32)
        assert torch.equal(torch.get_rng_state(), random_state)
        assert all(torch.equal(value, state[name]) for name, value in system.state_dict().items())
        assert all(parameter.grad is None for parameter in system.parameters())
        assert not system.training
        assert "log_training" not in vars(system)


def test_what_fits_passes():
    assert find_shortage(NEED, 8, 2, "Tesla T4", 5.0) is None
    assert NEED.largest_batch_size(5.0) == 8


def test_a_shortage_is_told_with_the_options_for_the_same_step():
    line = find_shortage(NEED, 8, 3, "Tesla T4", 4.6)
    assert "BottomPrior needs 5.00 GiB with --data.batch_size 8" in line
    assert "Tesla T4 has 4.60 GiB free: a batch of at most 7 fits" in line
    assert "--data.batch_size 6 --trainer.accumulate_grad_batches 4" in line
    assert "24 samples" in line
    assert "\n" not in line


def test_where_not_one_sample_fits_no_option_is_named():
    line = find_shortage(NEED, 8, 2, "Tesla T4", 1.2)
    assert "not even one sample" in line
    assert "Use --data" not in line


def fit_on_cuda(monkeypatch, measured: MemoryNeed | Exception, batch_size: int = 8, system: object = None) -> None:
    """The check before a fit on a card with 4.6 GiB free, of a system that was measured before."""

    def measure(*args) -> MemoryNeed:
        if isinstance(measured, Exception):
            raise measured
        return measured

    monkeypatch.setattr(device_check, "measure_memory", measure)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (4.6 * GIB, 16 * GIB))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Tesla T4")
    strategy = SimpleNamespace(root_device=CUDA)
    trainer = SimpleNamespace(strategy=strategy, accumulate_grad_batches=3, precision_plugin=Precision())
    check_fit(system or tiny_bottom(), SimpleNamespace(batch_size=batch_size), trainer)


def test_a_fit_that_does_not_fit_is_refused(monkeypatch):
    fit_on_cuda(monkeypatch, NEED, batch_size=7)
    with pytest.raises(ValueError, match=r"5.00 GiB.*4.60 GiB free.*--data.batch_size 6"):
        fit_on_cuda(monkeypatch, NEED, batch_size=8)


def test_a_card_too_small_for_the_measurement_is_told_too(monkeypatch):
    too_much = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
    with pytest.raises(ValueError, match=r"BottomPrior.*--data.batch_size 1 --trainer.accumulate_grad_batches 24"):
        fit_on_cuda(monkeypatch, too_much)
    fit_on_cuda(monkeypatch, too_much, batch_size=max(MEASURED_BATCH_SIZES) - 1)
    with pytest.raises(RuntimeError, match="something else"):
        fit_on_cuda(monkeypatch, RuntimeError("something else"))


def test_neither_unknown_systems_nor_cpus_are_measured(monkeypatch):
    fit_on_cuda(monkeypatch, RuntimeError("measured"), system=nn.Linear(1, 1))
    check_fit(tiny_top(), None, SimpleNamespace(strategy=SimpleNamespace(root_device=CPU)))


@pytest.mark.cuda
@pytest.mark.parametrize("make", MAKERS)
def test_on_a_gpu_the_line_meets_a_larger_batch_as_well(make, monkeypatch):
    system = make()
    random_state = torch.cuda.get_rng_state()
    precision = MixedPrecision("bf16-mixed", "cuda")
    need = measure_memory(system, torch.device("cuda", 0), precision, image_size=32)
    assert torch.equal(torch.cuda.get_rng_state(), random_state)
    monkeypatch.setattr(device_check, "MEASURED_BATCH_SIZES", (64, 65))
    larger = measure_memory(system, torch.device("cuda", 0), precision, image_size=32)
    assert need.gib(64) == pytest.approx(larger.gib(64), rel=0.15)
