"""Loaders whose every random choice is a function of (seed, epoch, index), so that a resumed run sees what an unbroken
one would have seen."""

import signal
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import lightning
import numpy as np
import torch
import torch.distributed
from torch.utils.data import DataLoader, Dataset, DistributedSampler, Sampler

from runtime.private_api import num_batches_trained


class SampleKey(NamedTuple):
    """The index with which a training set is asked: the sample `index`, as it is drawn in `epoch`. Lists take it."""

    epoch: int
    index: int

    def __index__(self) -> int:
        return self.index


def sample_key(key: SampleKey | int) -> SampleKey:
    """Lets `dataset[3]` mean sample 3 as it is drawn in epoch 0."""
    return key if isinstance(key, SampleKey) else SampleKey(epoch=0, index=key)


def sample_generator(seed: int, key: SampleKey) -> np.random.Generator:
    """The source of all random choices of one sample; the same in any process, independent of earlier draws."""
    return np.random.default_rng((seed, key.epoch, key.index))


class TrainingBatches(Sampler[list[SampleKey]]):
    """Batch sampler over the endless sequence of shuffled epochs, starting after the batches already trained on.

    Why: the next batch depends only on how many were trained on, a number that every checkpoint holds. It depends
    neither on a generator's past, nor on batches that workers had loaded ahead, nor on the moment of the checkpoint.

    An epoch is a shuffle of all samples. Those which do not fill a batch are left out of it, unless there is but one
    batch. In distributed training every process gets an equal share; samples are repeated to fill the shares up.

    Args:
        num_samples: indices are 0 to num_samples - 1.
        batch_size: samples of a batch of one process.
        seed: gives the order of each epoch.
        num_batches_trained: called at the start of an iterator; batches of this process so far, in all epochs.
    """

    def __init__(self, num_samples: int, batch_size: int, seed: int, num_batches_trained: Callable[[], int]) -> None:
        self.num_samples = num_samples
        self.batch_size = batch_size
        self.seed = seed
        self.num_batches_trained = num_batches_trained

    def __len__(self) -> int:
        return max(1, self._share() // self.batch_size)

    def __iter__(self) -> Iterator[list[SampleKey]]:
        first = self.num_batches_trained()
        epoch_of_order, order = None, []
        for number in range(first, first + len(self)):
            epoch, batch = divmod(number, len(self))
            if epoch != epoch_of_order:
                epoch_of_order, order = epoch, self._order(epoch)
            indices = order[batch * self.batch_size : (batch + 1) * self.batch_size]
            yield [SampleKey(epoch, index) for index in indices]

    def _share(self) -> int:
        return -(-self.num_samples // _num_processes())

    def _order(self, epoch: int) -> list[int]:
        order = np.random.default_rng((self.seed, epoch)).permutation(self.num_samples)
        rank = torch.distributed.get_rank() if is_distributed() else 0
        return np.resize(order, self._share() * _num_processes())[rank :: _num_processes()].tolist()


class TrainingLoader(DataLoader):
    """A DataLoader that can be resumed in mid-epoch, which Lightning recognises by these two methods.

    There is no state to keep: `TrainingBatches` knows its place from the trainer. It is asked, and workers start to
    load, with the first batch and not before: Lightning may make the iterator before it has restored a checkpoint.
    """

    def __iter__(self) -> Iterator[Any]:
        yield from super().__iter__()

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        pass


def training_loader(
    dataset: Dataset, batch_size: int, num_workers: int, seed: int, trainer: lightning.Trainer | None
) -> DataLoader:
    """The training loader of every data module: shuffled, and continued exactly when a run is resumed.

    Args:
        dataset: map-style; `dataset[SampleKey]` is a dict.
        batch_size: samples of a batch of one process.
        num_workers: processes that load; 0 loads in the training process.
        seed: gives the order of the samples.
        trainer: knows how many batches were trained on. With its `overfit_batches` the samples are not shuffled.
    """
    if trainer is not None and trainer.overfit_batches:
        return evaluation_loader(dataset, batch_size, num_workers)
    batches = TrainingBatches(
        len(dataset), batch_size, seed, lambda: num_batches_trained(trainer) if trainer is not None else 0
    )
    return TrainingLoader(dataset, batch_sampler=batches, **_worker_options(num_workers))


def evaluation_loader(dataset: Dataset, batch_size: int, num_workers: int) -> DataLoader:
    """The loader for validation, test and prediction: every sample once, in order; arguments as `training_loader`."""
    sampler = DistributedSampler(dataset, shuffle=False) if is_distributed() else None
    return DataLoader(dataset, batch_size=batch_size, sampler=sampler, **_worker_options(num_workers))


def _worker_options(num_workers: int) -> dict[str, Any]:
    return {
        "num_workers": num_workers,
        "persistent_workers": num_workers > 0,
        "pin_memory": torch.cuda.is_available(),
        "worker_init_fn": _leave_interrupts_to_main,
    }


def _leave_interrupts_to_main(worker: int) -> None:
    """A terminal sends Ctrl-C to the workers as well, and the main process still needs them for its last step."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def is_distributed() -> bool:
    """Whether several processes do the work."""
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def _num_processes() -> int:
    return torch.distributed.get_world_size() if is_distributed() else 1
