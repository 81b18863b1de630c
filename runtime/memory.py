"""The memory of a training step, measured before the fit, and the largest batch that fits."""

import copy
import sys
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import torch
from lightning.fabric.utilities import move_data_to_device
from lightning.pytorch import Trainer
from lightning.pytorch.plugins.precision import Precision
from lightning.pytorch.utilities.memory import garbage_collection_cuda, is_oom_error
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

MEASURED_BATCH_SIZES = (2, 4)  # not 1: a batch norm needs two
MARGIN = 1.1  # the allocator loses space between its blocks
GIB = 2**30


@dataclass(frozen=True)
class MemoryNeed:
    """Memory of a training step, linear in the batch size.

    Attributes:
        name: name of the system.
        fixed_bytes: memory of weights, gradients, optimiser state and all else that is independent of the batch.
        sample_bytes: memory of each sample of a batch.
    """

    name: str
    fixed_bytes: float
    sample_bytes: float

    def gib(self, batch_size: int) -> float:
        return (self.fixed_bytes + batch_size * self.sample_bytes) / GIB

    def largest_batch_size(self, free_gib: float) -> int:
        """The largest number of samples that fits; 0 if none does."""
        return max(0, int((free_gib * GIB - self.fixed_bytes) / max(self.sample_bytes, 1)))


def check_memory(system: Any, datamodule: Any, trainer: Trainer) -> None:
    """Raises ValueError if a step exceeds the free memory of a CUDA device; a system without `example_batch` passes."""
    device = trainer.strategy.root_device
    if device.type != "cuda" or not hasattr(system, "example_batch"):
        return
    batch_size, num_accumulated = datamodule.batch_size, trainer.accumulate_grad_batches
    card = torch.cuda.get_device_name(device)
    try:
        need = measure_memory(system, device, trainer.precision_plugin)
    except RuntimeError as error:
        if not is_oom_error(error):
            raise
        if batch_size < max(MEASURED_BATCH_SIZES):
            return  # smaller than the measured ones, so it may fit
        raise ValueError(
            f"{card} has no memory for a training step of {type(system).__name__} with {max(MEASURED_BATCH_SIZES)} "
            "samples. Use a larger card, or --data.batch_size 1 --trainer.accumulate_grad_batches "
            f"{batch_size * num_accumulated}."
        ) from error
    if shortage := find_shortage(need, batch_size, num_accumulated, card, free_memory_gib(device)):
        raise ValueError(shortage)


def use_largest_batch(system: Any, datamodule: Any, trainer: Trainer) -> str:
    """Sets the largest batch that fits, with the same number of samples in each step; returns a line for the user.

    The interval between validations is counted in batches, so it changes too.

    Raises:
        ValueError: if not even one sample fits, or the system cannot be measured.
    """
    if not hasattr(system, "example_batch"):
        raise ValueError(f"The memory of {type(system).__name__} cannot be measured; set --data.batch_size yourself.")
    device, before = trainer.strategy.root_device, datamodule.batch_size
    num_samples = before * trainer.accumulate_grad_batches
    need = measure_memory(system, device, trainer.precision_plugin)
    free_gib = free_memory_gib(device)
    largest = need.largest_batch_size(free_gib)
    if largest == 0:
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else "this machine"
        raise ValueError(find_shortage(need, before, trainer.accumulate_grad_batches, name, free_gib))
    batch_size = _largest_divisor(num_samples, largest)
    if batch_size < num_samples and not system.automatic_optimization:
        raise ValueError(
            f"{largest} samples fit, and {type(system).__name__} optimises by hand, so its batches cannot be "
            f"accumulated to {num_samples}. Set --data.batch_size {largest}: a step then learns from fewer samples."
        )
    datamodule.batch_size = batch_size
    trainer.accumulate_grad_batches = num_samples // batch_size
    if isinstance(trainer.val_check_interval, int):
        trainer.val_check_interval = max(1, trainer.val_check_interval * before // batch_size)
    return (
        f"Batches of {batch_size} × {num_samples // batch_size} a step: {need.gib(batch_size):.2f} GiB of the "
        f"{free_gib:.2f} that are free."
    )


def free_memory_gib(device: torch.device) -> float:
    """Free memory of the card or of the machine, after torch has released its cached blocks."""
    garbage_collection_cuda()
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0] / GIB
    return psutil.virtual_memory().available / GIB


def peak_process_bytes() -> int:
    """Peak memory of this process so far; psutil has this figure on Windows only."""
    if sys.platform == "win32":
        return psutil.Process().memory_info().peak_wset
    if sys.platform == "linux":  # its getrusage starts at the parent's memory
        lines = Path("/proc/self/status").read_text().splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    import resource  # Windows has none

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _largest_divisor(number: int, limit: int) -> int:
    return max(size for size in range(1, min(limit, number) + 1) if number % size == 0)


def find_shortage(need: MemoryNeed, batch_size: int, num_accumulated: int, card: str, free_gib: float) -> str | None:
    """Explains in one line why a step of some batches does not fit on a card, and which options do; None if it fits."""
    if need.gib(batch_size) <= free_gib:
        return None
    largest = need.largest_batch_size(free_gib)
    problem = (
        f"A training step of {need.name} needs {need.gib(batch_size):.2f} GiB with --data.batch_size {batch_size}, and "
        f"{card} has {free_gib:.2f} GiB free"
    )
    if largest == 0:
        return f"{problem}: not even one sample fits. Stop other programs on the card, or use a larger one."
    num_samples = batch_size * num_accumulated
    fitting = _largest_divisor(num_samples, largest)
    return (
        f"{problem}: a batch of at most {largest} fits. Use --data.batch_size {fitting} "
        f"--trainer.accumulate_grad_batches {num_samples // fitting}: a step still learns from {num_samples} samples."
    )


def measure_memory(system: Any, device: torch.device, precision: Precision) -> MemoryNeed:
    """Measures a training step on a copy of a system with an `example_batch`; leaves the random state as it was.

    Forward and backward pass run at two batch sizes, in the fit's precision (`trainer.precision_plugin`). On a CUDA
    device the peak comes from the allocator, elsewhere from counting live tensors. Weights, gradients and AdamW's two
    moments are added as if all of them were alive at the peak, which overestimates a little.
    """
    system = precision.convert_module(copy.deepcopy(system)).to(device).train()
    trained = [parameter for parameter in system.parameters() if parameter.requires_grad]
    for parameter in trained:
        parameter.grad = torch.zeros_like(parameter)
    state_bytes = sum(tensor.nbytes for tensor in [*system.parameters(), *system.buffers()])
    state_bytes += 3 * sum(parameter.nbytes for parameter in trained)

    def step(batch: dict[str, Any]) -> None:
        batch = precision.convert_input(move_data_to_device(batch, device))
        with precision.train_step_context():
            loss, _ = system.loss(batch)
        loss.backward()

    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        before = torch.cuda.memory_allocated(device) if device.type == "cuda" else 0
        batches = [system.example_batch(size) for size in MEASURED_BATCH_SIZES]
        first, second = (_peak_bytes(partial(step, batch), device) - before for batch in batches)
    sample_bytes = (second - first) / (MEASURED_BATCH_SIZES[1] - MEASURED_BATCH_SIZES[0])
    fixed_bytes = max(0.0, first - MEASURED_BATCH_SIZES[0] * sample_bytes) + state_bytes
    return MemoryNeed(type(system).__name__, MARGIN * fixed_bytes, MARGIN * sample_bytes)


def _peak_bytes(run: Callable[[], None], device: torch.device) -> int:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        run()
        return torch.cuda.max_memory_allocated(device)
    with _LiveBytes() as live:
        run()
    return live.peak


class _LiveBytes(TorchDispatchMode):
    """Counts the memory of tensors that operators allocate and free, and keeps the peak."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._seen = WeakIdKeyDictionary()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for tensor in tree_leaves((args, kwargs)):
            if isinstance(tensor, Tensor):
                self._seen.setdefault(tensor.untyped_storage(), True)
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor) and (storage := tensor.untyped_storage()) not in self._seen:
                self._seen[storage] = True
                self._add(storage.nbytes())
                weakref.finalize(storage, self._add, -storage.nbytes())
        return result

    def _add(self, num_bytes: int) -> None:
        self.now += num_bytes
        self.peak = max(self.peak, self.now)
