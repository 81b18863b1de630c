"""Loaders whose random choices are functions of (seed, epoch, index), so that a resumed run equals an unbroken one."""

import signal
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import lightning
import numpy as np
import torch
import torch.distributed
from torch.utils.data import DataLoader, Dataset, DistributedSampler, Sampler

from runtime.private_api import num_batches_trained

Collate = Callable[[list[Any]], Any]


class SampleKey(NamedTuple):
    """The index into a training set: sample `index`, as it is drawn in `epoch`. Lists take it, too."""

    epoch: int
    index: int

    def __index__(self) -> int:
        return self.index


def sample_key(key: SampleKey | int) -> SampleKey:
    """The key itself, or for an integer the key of this sample in epoch 0."""
    return key if isinstance(key, SampleKey) else SampleKey(epoch=0, index=key)


def sample_generator(seed: int, key: SampleKey) -> np.random.Generator:
    """The generator of a sample's random choices, the same in any process and after any earlier draws."""
    return np.random.default_rng((seed, key.epoch, key.index))


class TrainingBatches(Sampler[list[SampleKey]]):
    """Batch sampler over the endless sequence of shuffled epochs, starting after the batches already trained on.

    The next batch depends only on the number of batches trained on, which each checkpoint has. It does not depend on a
    generator's state, on batches that workers loaded ahead, or on the moment of the checkpoint.

    An epoch is a permutation of all samples, without those that do not fill a batch, unless it is the only one. In
    distributed training the processes get equal shares, which are filled up with repeated samples.

    Args:
        num_samples: samples in the dataset.
        batch_size: samples in a batch of one process.
        seed: seed of each epoch's order.
        num_batches_trained: function that returns the batches of this process so far, in all epochs. It is called when
            an iteration starts.
    """

    def __init__(self, num_samples: int, batch_size: int, seed: int, num_batches_trained: Callable[[], int]) -> None:
        self.num_samples, self.batch_size, self.seed = num_samples, batch_size, seed
        self.num_batches_trained = num_batches_trained

    def __len__(self) -> int:
        return max(1, self._share() // self.batch_size)

    def __iter__(self) -> Iterator[list[SampleKey]]:
        first = self.num_batches_trained()
        order = lru_cache(maxsize=1)(self._order)
        for number in range(first, first + len(self)):
            epoch, batch = divmod(number, len(self))
            indices = order(epoch)[batch * self.batch_size : (batch + 1) * self.batch_size]
            yield [SampleKey(epoch, index) for index in indices]

    def _share(self) -> int:
        return -(-self.num_samples // _num_processes())

    def _order(self, epoch: int) -> list[int]:
        order = np.random.default_rng((self.seed, epoch)).permutation(self.num_samples)
        rank = torch.distributed.get_rank() if is_distributed() else 0
        return np.resize(order, self._share() * _num_processes())[rank :: _num_processes()].tolist()


class TrainingLoader(DataLoader):
    """A DataLoader that can be resumed in mid-epoch, which Lightning recognises by its two methods for states.

    The state is empty, as `TrainingBatches` gets its position from the trainer. `__iter__` is a generator, so workers
    start with the first batch: Lightning may make the iterator before it restores a checkpoint.
    """

    def __iter__(self) -> Iterator[Any]:
        yield from super().__iter__()

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        pass


def training_loader(
    dataset: Dataset,
    batch_size: int,
    num_workers: int,
    seed: int,
    trainer: lightning.Trainer | None,
    collate_fn: Collate | None = None,
) -> DataLoader:
    """The training loader of every data module: shuffled, and exactly continued in a resumed run.

    Args:
        dataset: map-style dataset that is indexed by a `SampleKey`.
        batch_size, seed: see `TrainingBatches`.
        num_workers: processes that load; 0 loads in the training process.
        trainer: source of the number of batches trained on. With its `overfit_batches` the samples are not shuffled.
        collate_fn: makes a batch from a list of samples; None for torch's own.
    """
    if trainer is not None and trainer.overfit_batches:
        return evaluation_loader(dataset, batch_size, num_workers, collate_fn)
    batches = TrainingBatches(
        len(dataset), batch_size, seed, lambda: num_batches_trained(trainer) if trainer is not None else 0
    )
    return TrainingLoader(dataset, batch_sampler=batches, collate_fn=collate_fn, **_worker_options(num_workers))


def evaluation_loader(
    dataset: Dataset, batch_size: int, num_workers: int, collate_fn: Collate | None = None
) -> DataLoader:
    """The loader for validation, test and prediction: every sample once, in order."""
    sampler = DistributedSampler(dataset, shuffle=False) if is_distributed() else None
    options = _worker_options(num_workers)
    return DataLoader(dataset, batch_size=batch_size, sampler=sampler, collate_fn=collate_fn, **options)


def _worker_options(num_workers: int) -> dict[str, Any]:
    return {
        "num_workers": num_workers,
        "persistent_workers": num_workers > 0,
        "pin_memory": torch.cuda.is_available(),
        "worker_init_fn": _leave_signals_to_main,
    }


def _leave_signals_to_main(worker: int) -> None:
    """Ignores Ctrl-C and the first SIGTERM, which are sent to a whole group of processes.

    The main process needs its workers for the last step. A second SIGTERM ends them.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, frame: signal.signal(number, signal.SIG_DFL))


def is_distributed() -> bool:
    """Whether several processes do the work."""
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def _num_processes() -> int:
    return torch.distributed.get_world_size() if is_distributed() else 1
