"""What data modules over a data root have in common: their loaders, and the split inside every checkpoint."""

from dataclasses import replace
from typing import Any

import numpy as np
from lightning import LightningDataModule
from torch.utils.data import DataLoader, Dataset, Subset

from datamodules.files.data_root import DataRoot, normal_name
from datamodules.files.loading import evaluation_loader, training_loader
from datamodules.files.split import split_of_kind


class DataModule(LightningDataModule):
    """Base of the data modules: loaders that resume exactly, and the split of each kind of files.

    A subclass writes `setup`, which reads `self.root`, a `DataRoot`, and sets the attributes below. It also sets
    `self.classes`, the names in the order of the labels; these stay empty if the data have no classes. Options that it
    does not know it passes on to this class. Each item is a dict with an `index`, by which samples are counted.

    The class list and the split travel in each checkpoint. A run that is resumed or tested from one gets its split,
    whatever `split.json` has become, so that no file changes from training to test.

    Args:
        root: folder with `<kind>/<class>/*`.
        batch_size: samples of a batch of one process.
        num_workers: processes that load; 0 loads in the training process.
        seed: gives the order of the samples and their random choices.
        cache_dir: folder for everything that is computed from the files, the split among it.
        classes: names of the classes to use; None for all folders.
        group_pattern: regular expression over file names. Files with the same first group of it stay in one part of
            the split. None to read the groups from `<root>/groups.csv`, if it is there.

    Attributes:
        split: for each kind `train`, `val` or `test` of each `<class>/<file>`; empty if no root is read.
        train_set, val_set, test_set: map-style datasets; `train_set` is asked with a `SampleKey`.

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
        """Those facts that are known before any file is read."""
        return {}

    def facts(self) -> dict[str, Any]:
        """What a checkpoint must know of the data, as plain data."""
        return {"classes": self.classes, "split": self.split} | self.known_facts()

    def validation_examples(self, num_examples: int) -> list[Any]:
        """The same few validation items each time, spread evenly over the classes, for pictures and sounds."""
        return list(self.examples(self.val_set, num_examples))

    def examples(self, dataset: Dataset, num_examples: int) -> Subset:
        """As many items of each class, at even distances among its own; `dataset.labels` has the labels, if any."""
        labels = np.asarray(getattr(dataset, "labels", np.zeros(len(dataset))))
        classes = np.unique(labels)
        chosen: list[int] = []
        for number, label in enumerate(classes):
            own = np.flatnonzero(labels == label)
            share = min(len(own), (num_examples + len(classes) - 1 - number) // len(classes))
            chosen += [int(own[len(own) * i // share]) for i in range(share)]
        return Subset(dataset, chosen)

    def state_dict(self) -> dict[str, Any]:
        """The class list and the split, as plain data."""
        return {"classes": self.classes, "split": self.split}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes the split over from a checkpoint; Lightning calls it between `setup` and the making of the loaders.

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
