import copy
from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch.plugins.precision import MixedPrecision, Precision
from torch import nn

from runtime import memory
from runtime.memory import (
    GIB,
    MARGIN,
    MEASURED_BATCH_SIZES,
    MemoryNeed,
    check_memory,
    find_shortage,
    free_memory_gib,
    measure_memory,
    peak_process_bytes,
    use_largest_batch,
)
from tests.helpers.tiny import (
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
NEED = MemoryNeed("BottomPrior", fixed_bytes=1 * GIB, sample_bytes=0.5 * GIB)


@pytest.mark.parametrize(
    ("make", "batch"),
    [
        (tiny_vqvae, tiny_sounds(4)),
        (tiny_top, tiny_codes(4)),
        (tiny_bottom, tiny_codes(4)),
        (tiny_classifier, tiny_photos(4)),
    ],
)
def test_an_example_batch_has_the_shapes_of_a_real_one(make, batch):
    example = make().example_batch(4)
    for name, values in example.items():
        assert (values.shape, values.dtype) == (batch[name].shape, batch[name].dtype), name


def test_tensors_are_counted_while_they_are_alive():
    weight = torch.zeros(100)  # there before
    with memory._LiveBytes() as live:
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


def test_activations_are_kept_for_the_backward_pass():
    layers = nn.Sequential(*(nn.Linear(100, 100) for _ in range(4)))
    batch = torch.randn(1000, 100)
    with memory._LiveBytes() as live, torch.no_grad():
        layers(batch)
    assert live.peak == 2 * batch.nbytes
    with memory._LiveBytes() as live:
        layers(batch).sum().backward()
    assert 4 * batch.nbytes <= live.peak < 6 * batch.nbytes


@pytest.mark.parametrize("make", MAKERS)
def test_the_line_through_two_small_batches_meets_a_larger_one(make, monkeypatch):
    torch.manual_seed(0)
    system = make()
    need = measure_memory(system, CPU, Precision())
    monkeypatch.setattr(memory, "MEASURED_BATCH_SIZES", (16, 17))
    larger = measure_memory(system, CPU, Precision())
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
        measure_memory(system, CPU, Precision())
        assert torch.equal(torch.get_rng_state(), random_state)
        assert all(torch.equal(value, state[name]) for name, value in system.state_dict().items())
        assert all(parameter.grad is None for parameter in system.parameters())
        assert not system.training


def test_a_step_that_fits_passes():
    assert find_shortage(NEED, 8, 2, "Tesla T4", 5.0) is None
    assert NEED.largest_batch_size(5.0) == 8


def test_a_shortage_is_reported_with_options_for_the_same_step():
    line = find_shortage(NEED, 8, 3, "Tesla T4", 4.6)
    assert "BottomPrior needs 5.00 GiB with --data.batch_size 8" in line
    assert "Tesla T4 has 4.60 GiB free: a batch of at most 7 fits" in line
    assert "--data.batch_size 6 --trainer.accumulate_grad_batches 4" in line
    assert "24 samples" in line
    assert "\n" not in line


def test_if_not_one_sample_fits_no_option_is_named():
    line = find_shortage(NEED, 8, 2, "Tesla T4", 1.2)
    assert "not even one sample" in line
    assert "Use --data" not in line


def fit_on_cuda(monkeypatch, measured: MemoryNeed | Exception, batch_size: int = 8, system: object = None) -> None:
    """The check before a fit on a card with 4.6 GiB free, of a system that was measured before."""

    def measure(*args) -> MemoryNeed:
        if isinstance(measured, Exception):
            raise measured
        return measured

    monkeypatch.setattr(memory, "measure_memory", measure)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (4.6 * GIB, 16 * GIB))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Tesla T4")
    strategy = SimpleNamespace(root_device=CUDA)
    trainer = SimpleNamespace(strategy=strategy, accumulate_grad_batches=3, precision_plugin=Precision())
    check_memory(system or tiny_bottom(), SimpleNamespace(batch_size=batch_size), trainer)


def test_a_fit_that_does_not_fit_is_refused(monkeypatch):
    fit_on_cuda(monkeypatch, NEED, batch_size=7)
    with pytest.raises(ValueError, match=r"5.00 GiB.*4.60 GiB free.*--data.batch_size 6"):
        fit_on_cuda(monkeypatch, NEED, batch_size=8)


def test_a_card_too_small_for_the_measurement_is_reported_too(monkeypatch):
    too_much = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
    with pytest.raises(ValueError, match=r"BottomPrior.*--data.batch_size 1 --trainer.accumulate_grad_batches 24"):
        fit_on_cuda(monkeypatch, too_much)
    fit_on_cuda(monkeypatch, too_much, batch_size=max(MEASURED_BATCH_SIZES) - 1)
    with pytest.raises(RuntimeError, match="something else"):
        fit_on_cuda(monkeypatch, RuntimeError("something else"))


def test_neither_unknown_systems_nor_cpus_are_measured(monkeypatch):
    fit_on_cuda(monkeypatch, RuntimeError("measured"), system=nn.Linear(1, 1))
    check_memory(tiny_top(), None, SimpleNamespace(strategy=SimpleNamespace(root_device=CPU)))


def largest_batch_on(monkeypatch, free_gib: float, interval: float | None = 500) -> tuple[SimpleNamespace, ...]:
    """Data and trainer of 8 × 3 samples a step, after the largest batch was chosen on a CPU with so much memory."""
    monkeypatch.setattr(memory, "measure_memory", lambda *args: NEED)
    monkeypatch.setattr(memory, "free_memory_gib", lambda device: free_gib)
    data = SimpleNamespace(batch_size=8)
    strategy = SimpleNamespace(root_device=CPU)
    trainer = SimpleNamespace(
        strategy=strategy, accumulate_grad_batches=3, precision_plugin=Precision(), val_check_interval=interval
    )
    line = use_largest_batch(tiny_bottom(), data, trainer)
    assert f"{data.batch_size} × {trainer.accumulate_grad_batches}" in line
    return data, trainer


@pytest.mark.parametrize(
    ("free_gib", "batch_size", "num_accumulated", "interval"),
    [(1.5, 1, 24, 4000), (4.6, 6, 4, 666), (5.0, 8, 3, 500), (12.9, 12, 2, 333), (100.0, 24, 1, 166)],
)
def test_the_largest_batch_makes_the_same_steps(monkeypatch, free_gib, batch_size, num_accumulated, interval):
    """As many samples a step, and a validation after as many of them."""
    data, trainer = largest_batch_on(monkeypatch, free_gib)
    assert (data.batch_size, trainer.accumulate_grad_batches) == (batch_size, num_accumulated)
    assert trainer.val_check_interval == interval


@pytest.mark.parametrize("interval", [1.0, 0.25])
def test_an_interval_that_is_a_part_of_the_epoch_stays(monkeypatch, interval):
    assert largest_batch_on(monkeypatch, 1.5, interval)[1].val_check_interval == interval


def test_no_batch_at_all_is_refused(monkeypatch):
    with pytest.raises(ValueError, match=r"not even one sample fits"):
        largest_batch_on(monkeypatch, 1.2)


def test_the_memory_of_this_machine_is_found():
    assert 0 < free_memory_gib(CPU) < 100_000


def test_the_peak_of_a_process_grows_with_it_and_stays():
    before = peak_process_bytes()
    block = torch.ones(before // 4)
    grown = peak_process_bytes()
    assert before < grown < 10 * block.nbytes
    del block
    assert peak_process_bytes() > 0.9 * grown  # the system counts it a little late


@pytest.mark.cuda
@pytest.mark.parametrize("make", MAKERS)
def test_on_a_gpu_the_line_meets_a_larger_batch_as_well(make, monkeypatch):
    system = make()
    random_state = torch.cuda.get_rng_state()
    precision = MixedPrecision("bf16-mixed", "cuda")
    need = measure_memory(system, torch.device("cuda", 0), precision)
    assert torch.equal(torch.cuda.get_rng_state(), random_state)
    monkeypatch.setattr(memory, "MEASURED_BATCH_SIZES", (64, 65))
    larger = measure_memory(system, torch.device("cuda", 0), precision)
    assert need.gib(64) == pytest.approx(larger.gib(64), rel=0.15)
