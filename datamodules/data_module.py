"""The base of the data modules over a data root: their loaders, and the split in each checkpoint."""

from dataclasses import replace
from typing import Any

import numpy as np
from lightning import LightningDataModule
from torch.utils.data import DataLoader, Dataset, Subset

from datamodules.files.data_root import DataRoot, normal_name
from datamodules.files.loading import evaluation_loader, training_loader
from datamodules.files.split import split_of_kind


class DataModule(LightningDataModule):
    """Loaders that resume exactly, and the split of each kind of file.

    A subclass passes unknown options on to this class, and writes `setup`, which reads `self.root`, a `DataRoot`, and
    sets the attributes. Each item is a dict with an `index`, by which samples are counted.

    Each checkpoint has the class list and the split. A run that is resumed or tested from it uses this split instead of
    `split.json`, so that no file changes from training to test.

    Args:
        root: folder with `<kind>/<class>/*`.
        batch_size: samples in a batch of one process.
        num_workers: processes that load; 0 loads in the training process.
        seed: seed of the samples' order and of their random choices.
        cache_dir: folder for everything that is computed from the files, including the split.
        classes: names of the classes to use; None for all folders.
        group_pattern: regular expression over file names. Files with the same first group of it stay in one part of
            the split. None to read the groups from `<root>/groups.csv`, if it is there.

    Attributes:
        classes: names of the classes in the order of the labels; empty if the data have none.
        split: for each kind the part, `train`, `val` or `test`, of each `<class>/<file>`; empty if no root is read.
        train_set, val_set, test_set: map-style datasets; `train_set` is indexed by a `SampleKey`.

    Raises:
        ValueError: if `batch_size` or `num_workers` is too small, or as `DataRoot`.
    """

    train_set: Dataset
    val_set: Dataset
    test_set: Dataset

    def __init__(
        self,
        root: str = "data",
        batch_size: int = 8,
        num_workers: int = 2,
        seed: int = 1,
        cache_dir: str = "cache",
        classes: list[str] | None = None,
        group_pattern: str | None = None,
    ) -> None:
        super().__init__()
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}, expected 1 or more.")
        if num_workers < 0:
            raise ValueError(f"num_workers is {num_workers}, expected 0 or more.")
        self.root = DataRoot(root, cache_dir, classes, group_pattern)
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.seed = seed
        self.classes: list[str] = []
        self.split: dict[str, dict[str, str]] = {}

    def train_dataloader(self) -> DataLoader:
        return training_loader(self.train_set, self.batch_size, self.num_workers, self.seed, self.trainer)

    def val_dataloader(self) -> DataLoader:
        return evaluation_loader(self.val_set, self.batch_size, self.num_workers)

    def test_dataloader(self) -> DataLoader:
        return evaluation_loader(self.test_set, self.batch_size, self.num_workers)

    def predict_dataloader(self) -> DataLoader:
        return self.test_dataloader()

    def known_facts(self) -> dict[str, Any]:
        """Facts that are known before any file is read."""
        return {}

    def facts(self) -> dict[str, Any]:
        """Facts about the data that a checkpoint needs, as plain data."""
        return self.state_dict() | self.known_facts()

    def validation_examples(self, num_examples: int) -> list[Any]:
        """A few validation items for pictures and sounds, the same each time."""
        return list(self.examples(self.val_set, num_examples))

    def examples(self, dataset: Dataset, num_examples: int) -> Subset:
        """An equal number of items of each class in `dataset.labels`, evenly spaced."""
        labels = np.asarray(getattr(dataset, "labels", np.zeros(len(dataset))))
        classes = np.unique(labels)
        chosen: list[int] = []
        for number, label in enumerate(classes):
            own = np.flatnonzero(labels == label)
            share = min(len(own), (num_examples + len(classes) - 1 - number) // len(classes))
            chosen += [int(own[len(own) * i // share]) for i in range(share)]
        return Subset(dataset, chosen)

    def state_dict(self) -> dict[str, Any]:
        return {"classes": self.classes, "split": self.split}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Uses the split of a checkpoint. Lightning calls it after `setup`, before it makes the loaders.

        Raises:
            ValueError: if the checkpoint was trained on other classes.
        """
        if not self.split:
            return
        if [normal_name(name) for name in state_dict["classes"]] != self.classes:
            raise ValueError(
                f"The checkpoint was trained on the classes {state_dict['classes']}, but the data has {self.classes}."
                " Point root at the data that it was trained on, choose with --data.classes, or train again."
            )
        stored = {kind: split_of_kind(state_dict["split"], kind) for kind in self.split}
        if stored != self.split:
            self.root = replace(self.root, stored_split=stored)
            self.setup()
