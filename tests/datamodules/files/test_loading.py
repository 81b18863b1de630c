from collections import Counter
from itertools import islice

import lightning
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.utils.data import Dataset

from datamodules.files.loading import (
    SampleKey,
    TrainingBatches,
    evaluation_loader,
    sample_generator,
    sample_key,
    training_loader,
)

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*LeafSpec:FutureWarning",
    "ignore:.*does not have many workers",
    "ignore:Be aware that when using `ckpt_path`, callbacks",
)


class Keys(Dataset):
    """Items that are their keys, with a random number."""

    def __len__(self) -> int:
        return 11

    def __getitem__(self, key: SampleKey | int) -> torch.Tensor:
        key = sample_key(key)
        return torch.tensor([*key, sample_generator(1, key).integers(1 << 30)])


class Recorder(lightning.LightningModule):
    """Remembers the batches that it learned from; fails at one of them."""

    def __init__(self, num_workers: int, batch_size: int, fails_at: int) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
        self.num_workers, self.batch_size, self.fails_at = num_workers, batch_size, fails_at
        self.seen = []

    def training_step(self, batch: torch.Tensor, batch_index: int) -> torch.Tensor:
        if len(self.seen) == self.fails_at:
            raise InterruptedError
        self.seen.append(batch.tolist())
        return self.layer(torch.ones(1, 1)).sum()

    def validation_step(self, batch: torch.Tensor, batch_index: int) -> None:
        pass

    def configure_optimizers(self) -> torch.optim.Optimizer:
        assert self.trainer.estimated_stepping_batches  # makes the loader's iterator before a checkpoint is restored
        return torch.optim.SGD(self.parameters(), 0.1)

    def train_dataloader(self):
        return training_loader(Keys(), self.batch_size, self.num_workers, seed=7, trainer=self.trainer)

    def val_dataloader(self):
        return evaluation_loader(Keys(), self.batch_size, self.num_workers)


def fit(num_workers=0, batch_size=2, fails_at=-1, ckpt_path=None, callbacks=(), **trainer_options) -> list:
    module = Recorder(num_workers, batch_size, fails_at)
    trainer = lightning.Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=bool(callbacks),
        callbacks=list(callbacks),
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        **trainer_options,
    )
    if fails_at == -1:
        trainer.fit(module, ckpt_path=ckpt_path)
    else:
        with pytest.raises(InterruptedError):
            trainer.fit(module, ckpt_path=ckpt_path)
    return module.seen


def batches_of(num_samples=11, batch_size=3, seed=7, trained=0) -> TrainingBatches:
    return TrainingBatches(num_samples, batch_size, seed, lambda: trained)


def test_an_epoch_has_each_sample_at_most_once_in_an_order_of_its_own():
    epochs = [[key for batch in batches_of(trained=3 * epoch) for key in batch] for epoch in range(3)]
    for epoch, keys in enumerate(epochs):
        assert {key.epoch for key in keys} == {epoch}
        assert len({key.index for key in keys}) == len(keys) == 9
    orders = [[key.index for key in keys] for keys in epochs]
    assert orders[0] != orders[1] != orders[2]
    assert orders[0] != sorted(orders[0])


def test_the_order_is_a_function_of_the_seed():
    assert list(batches_of()) == list(batches_of())
    assert list(batches_of()) != list(batches_of(seed=8))


def test_an_iterator_begins_after_what_was_trained_on_and_runs_into_the_next_epoch():
    endless = [*batches_of(), *batches_of(trained=3), *batches_of(trained=6)]
    assert list(batches_of(trained=2)) == endless[2:5]


@pytest.mark.parametrize(("num_samples", "sizes"), [(2, [2]), (3, [3]), (5, [3]), (6, [3, 3])])
def test_an_incomplete_batch_is_dropped_unless_it_is_the_only_one(num_samples, sizes):
    batches = batches_of(num_samples)
    assert [len(batch) for batch in batches] == sizes
    assert len(batches) == len(sizes)


@pytest.mark.parametrize("num_samples", [12, 11, 1])
def test_processes_share_the_samples_equally(monkeypatch, num_samples):
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    shares = []
    for rank in (0, 1):
        monkeypatch.setattr(torch.distributed, "get_rank", lambda rank=rank: rank)
        shares.append([key.index for batch in batches_of(num_samples, batch_size=2) for key in batch])
    assert len(shares[0]) == len(shares[1]) == max(1, (num_samples + 1) // 2 // 2 * 2)
    assert set(shares[0] + shares[1]) == set(range(num_samples))
    assert max(Counter(shares[0] + shares[1]).values()) == (1 if num_samples == 12 else 2)


def test_random_numbers_are_a_function_of_seed_epoch_and_index():
    def draw(seed: int, epoch: int, index: int) -> float:
        return sample_generator(seed, SampleKey(epoch, index)).random()

    assert draw(1, 2, 3) == draw(1, 2, 3)
    assert len({draw(1, 2, 3), draw(2, 2, 3), draw(1, 3, 3), draw(1, 2, 4), draw(1, 3, 2)}) == 5


def test_evaluation_sees_every_sample_in_order():
    assert torch.cat(list(evaluation_loader(Keys(), 4, 0)))[:, 1].tolist() == list(range(11))


@pytest.mark.parametrize("when", [{"every_n_train_steps": 1}, {"every_n_epochs": 1, "save_on_train_epoch_end": True}])
@pytest.mark.parametrize("length", [{"max_epochs": 3}, {"max_epochs": -1, "max_steps": 13}])
@pytest.mark.parametrize("batch_size", [2, 11])
def test_a_run_resumed_from_any_checkpoint_sees_what_the_unbroken_one_saw(tmp_path, when, length, batch_size):
    options = {"batch_size": batch_size, **length, "val_check_interval": 0.5 if batch_size == 2 else 1.0}
    unbroken = fit(callbacks=[ModelCheckpoint(tmp_path, filename="{step}", save_top_k=-1, **when)], **options)
    assert len(unbroken) == (13 if "max_steps" in length else 3 * (11 // batch_size))
    checkpoints = list(tmp_path.iterdir())
    assert len(checkpoints) > 1
    for checkpoint in checkpoints:
        num_steps = int(checkpoint.stem.removeprefix("step="))
        assert fit(ckpt_path=checkpoint, **options) == unbroken[num_steps:], checkpoint.name


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_batch_whose_step_failed_is_not_lost(tmp_path, num_workers):
    unbroken = fit(max_epochs=3)
    callback = ModelCheckpoint(tmp_path, filename="failed", every_n_train_steps=100, save_on_exception=True)
    broken = fit(num_workers, fails_at=7, max_epochs=3, callbacks=[callback])
    assert broken + fit(num_workers, max_epochs=3, ckpt_path=tmp_path / "failed.ckpt") == unbroken


def test_limited_epochs_walk_on_through_the_data():
    assert fit(max_epochs=4, limit_train_batches=2) == list(islice(fit(max_epochs=2), 8))


@pytest.mark.filterwarnings("ignore:You requested to overfit")
def test_overfitting_sees_the_same_batch_again_and_again():
    first, *others = fit(max_epochs=3, overfit_batches=1)
    assert others == [first, first]
