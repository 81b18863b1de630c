"""Whether a card can train a system at all, asked before any work is done."""

import copy
import re
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from lightning.fabric.utilities import move_data_to_device
from lightning.pytorch import LightningDataModule, Trainer
from lightning.pytorch.plugins.precision import Precision
from lightning.pytorch.utilities.memory import garbage_collection_cuda, is_oom_error
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

from lightning_modules.classifier import Classifier
from lightning_modules.precision import find_device
from lightning_modules.prior import Prior
from lightning_modules.system import System
from lightning_modules.vqvae import VQVAE

KNOWN_SYSTEMS = (VQVAE, Prior, Classifier)
MEASURED_BATCH_SIZES = (2, 4)  # not 1: a batch norm needs two
MARGIN = 1.1  # for what the allocator cannot use between its blocks
GIB = 2**30


def check_card(accelerator: str = "auto") -> None:
    """Refuses the card that Lightning's `accelerator` setting will use, where this torch has no code for it."""
    card = find_device(accelerator)
    if card.kind == "cuda":
        check_kernels(card.name, torch.cuda.get_device_capability(), torch.cuda.get_arch_list())


def check_kernels(name: str, capability: tuple[int, int], arch_list: list[str]) -> None:
    """Refuses a card that torch finds, and on which its first computation would fail.

    Args:
        name: of the card.
        capability: its (major, minor).
        arch_list: what this torch was built for, as `torch.cuda.get_arch_list()` gives it. Binary code (`sm_75`) runs
            on cards of the same major and an equal or higher minor, intermediate code (`compute_75`) on all from there
            on, and either with an `a` at its end on that very one only.

    Raises:
        ValueError: naming the card and what there is code for.
    """
    found = [re.fullmatch(r"(sm|compute)_(\d+)(\d)([af]?)", arch) for arch in arch_list]
    archs = [(match[1], (int(match[2]), int(match[3])), match[4]) for match in found if match]
    if not archs or any(_runs(*arch, capability) for arch in archs):  # other makers' cards have other names
        return
    sm = f"sm_{capability[0]}{capability[1]}"
    if capability > max(version for _, version, _ in archs):
        remedy = "Install a newer torch"
    else:
        remedy = "Choose another card (on Kaggle 'T4 x2')"
        if (5, 0) <= capability <= (7, 0):
            remedy += f", or install a torch wheel for CUDA 12.6 (torch 2.14 at most), which still has {sm}"
    raise ValueError(
        f"{name} cannot be used: it is {sm}, and torch {torch.__version__} has code for {', '.join(arch_list)} only. "
        f"{remedy}; or compute on the CPU: --trainer.accelerator cpu"
    )


def _runs(kind: str, version: tuple[int, int], suffix: str, capability: tuple[int, int]) -> bool:
    if suffix == "a":
        return capability == version
    if kind == "compute" and not suffix:
        return capability >= version
    return capability[0] == version[0] and capability[1] >= version[1]


@dataclass(frozen=True)
class MemoryNeed:
    """Memory of a training step, which grows with the batch in a straight line.

    Attributes:
        name: of the system.
        fixed_bytes: weights, gradients and the optimiser's state, and whatever else does not grow.
        sample_bytes: what each sample of a batch adds.
    """

    name: str
    fixed_bytes: float
    sample_bytes: float

    def gib(self, batch_size: int) -> float:
        """Of a step with batches of this size."""
        return (self.fixed_bytes + batch_size * self.sample_bytes) / GIB

    def largest_batch_size(self, free_gib: float) -> int:
        """The most samples that fit; 0 where not even one does."""
        return max(0, int((free_gib * GIB - self.fixed_bytes) / max(self.sample_bytes, 1)))


def check_fit(system: Any, datamodule: LightningDataModule | None, trainer: Trainer) -> None:
    """Refuses a fit whose steps need more memory than is free on its CUDA device; on any other it does nothing.

    Systems that no batch can be made up for pass, see `KNOWN_SYSTEMS`.

    Raises:
        ValueError: with the line of `find_shortage`.
    """
    device = trainer.strategy.root_device
    if device.type != "cuda" or not isinstance(system, KNOWN_SYSTEMS):
        return
    batch_size, num_accumulated = datamodule.batch_size, trainer.accumulate_grad_batches
    card, name = torch.cuda.get_device_name(device), type(system).__name__
    try:
        need = measure_memory(system, device, trainer.precision_plugin, getattr(datamodule, "image_size", 224))
    except RuntimeError as error:
        if not is_oom_error(error):
            raise
        if batch_size < max(MEASURED_BATCH_SIZES):
            return  # smaller than what was tried; the fit will tell
        raise ValueError(
            f"{card} has no memory for a training step of {name} with {max(MEASURED_BATCH_SIZES)} samples. Use a "
            f"larger card, or --data.batch_size 1 --trainer.accumulate_grad_batches {batch_size * num_accumulated}."
        ) from error
    garbage_collection_cuda()
    problem = find_shortage(need, batch_size, num_accumulated, card, torch.cuda.mem_get_info(device)[0] / GIB)
    if problem:
        raise ValueError(problem)


def find_shortage(need: MemoryNeed, batch_size: int, num_accumulated: int, card: str, free_gib: float) -> str | None:
    """One line that names need, free memory and the options with which it fits; None where it does.

    Args:
        need: as measured.
        batch_size: samples of a batch.
        num_accumulated: batches of a step.
        card: its name.
        free_gib: on it.
    """
    if need.gib(batch_size) <= free_gib:
        return None
    largest = need.largest_batch_size(free_gib)
    problem = (
        f"A training step of {need.name} needs {need.gib(batch_size):.2f} GiB with --data.batch_size {batch_size}, and "
        f"{card} has {free_gib:.2f} GiB free"
    )
    if largest == 0:
        return f"{problem}: not even one sample fits. End what else runs on the card, or use a larger one."
    num_samples = batch_size * num_accumulated
    fitting = max(size for size in range(1, min(largest, num_samples) + 1) if num_samples % size == 0)
    return (
        f"{problem}: a batch of at most {largest} fits. Use --data.batch_size {fitting} "
        f"--trainer.accumulate_grad_batches {num_samples // fitting}: a step still learns from {num_samples} samples."
    )


def measure_memory(system: System, device: torch.device, precision: Precision, image_size: int = 224) -> MemoryNeed:
    """What a training step needs, from two small ones of a copy: the system and the random state are left alone.

    Forward and backward pass are run as in the fit, its precision included, at two batch sizes. On a CUDA device the
    allocator tells their peak, elsewhere the tensors that are alive are counted. Weights, gradients and AdamW's two
    moments are added as if all were there at the peak: a little more than is needed.

    Args:
        system: one of `KNOWN_SYSTEMS`.
        device: where to run.
        precision: `trainer.precision_plugin`.
        image_size: pixels of a photo's sides, for a classifier.
    """
    name = type(system).__name__
    system = precision.convert_module(copy.deepcopy(system)).to(device).train()
    system.log_training = lambda loss, **figures: loss  # there is no trainer to log to
    trained = [parameter for parameter in system.parameters() if parameter.requires_grad]
    for parameter in trained:
        parameter.grad = torch.zeros_like(parameter)
    state_bytes = sum(tensor.nbytes for tensor in [*system.parameters(), *system.buffers()])
    state_bytes += 3 * sum(parameter.nbytes for parameter in trained)

    def step(batch: dict[str, Any]) -> None:
        batch = precision.convert_input(move_data_to_device(batch, device))
        with precision.train_step_context():
            loss = system.training_step(batch, 0)
        loss.backward()

    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        before = torch.cuda.memory_allocated(device) if device.type == "cuda" else 0
        batches = [synthetic_batch(system, size, image_size) for size in MEASURED_BATCH_SIZES]
        first, second = (_peak_bytes(partial(step, batch), device) - before for batch in batches)
    sample_bytes = (second - first) / (MEASURED_BATCH_SIZES[1] - MEASURED_BATCH_SIZES[0])
    fixed_bytes = max(0.0, first - MEASURED_BATCH_SIZES[0] * sample_bytes) + state_bytes
    return MemoryNeed(name, MARGIN * fixed_bytes, MARGIN * sample_bytes)


def _peak_bytes(run: Callable[[], None], device: torch.device) -> int:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        run()
        return torch.cuda.max_memory_allocated(device)
    with _LiveBytes() as live:
        run()
    return live.peak


class _LiveBytes(TorchDispatchMode):
    """Counts the memory that operators take and give back, and remembers the peak; what was there before is free."""

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


def synthetic_batch(system: System, num_samples: int, image_size: int = 224) -> dict[str, Any]:
    """A batch of the shapes that a system is trained on, of noise.

    Args:
        system: one of `KNOWN_SYSTEMS`.
        num_samples: of the batch.
        image_size: pixels of a photo's sides.
    """
    batch = {"label": torch.zeros(num_samples, dtype=torch.long)}
    if isinstance(system, VQVAE):
        return batch | {"waveform": 0.1 * torch.randn(num_samples, system.geometry.window_samples)}
    if isinstance(system, Classifier):
        return batch | {"image": torch.rand(num_samples, 3, image_size, image_size)}
    network = system.network
    length = network.num_rows * network.num_columns
    batch[f"{system.level}_codes"] = torch.randint(network.num_codes, (num_samples, length))
    if network.top_context is not None:
        batch["top_codes"] = torch.randint(network.num_codes, (num_samples, length // network.top_context.scale**2))
    return batch
