"""What the data modules over a paired root have in common: their loaders, and the split inside every checkpoint."""

from typing import Any

import numpy as np
from lightning import LightningDataModule
from torch.utils.data import DataLoader, Dataset, Subset

from datamodules.files.loading import evaluation_loader, training_loader


class PairedDataModule(LightningDataModule):
    """Base of the data modules. A subclass's `setup` sets the attributes below, and respects `stored_split`.

    The class list and the split travel in each checkpoint. A run that is resumed or tested from one gets its split,
    whatever `split.json` has become, so that no file changes from training to test.

    Attributes:
        classes: names, in the order of the labels; empty where no root is read.
        split: `<class>/<file>` to `train`, `val` or `test`.
        stored_split: a split that came from a checkpoint and comes before all others, or None.
        train_set, val_set, test_set: map-style datasets; `train_set` is asked with a `SampleKey`.
    """

    classes: list[str]
    split: dict[str, str]
    stored_split: dict[str, str] | None
    train_set: Dataset
    val_set: Dataset
    test_set: Dataset

    def __init__(self, batch_size: int, num_workers: int, seed: int) -> None:
        super().__init__()
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}, expected 1 or more.")
        if num_workers < 0:
            raise ValueError(f"num_workers is {num_workers}, expected 0 or more.")
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.seed = seed
        self.classes = []
        self.split = {}
        self.stored_split = None

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
        return {"classes": self.classes, "split": self.split}

    def validation_examples(self, num_examples: int) -> list[Any]:
        """The same few validation items each time, spread evenly over the classes, for pictures and sounds."""
        return list(self.examples(self.val_set, num_examples))

    def examples(self, dataset: Dataset, num_examples: int) -> Subset:
        """As many items of each class, at even distances among its own."""
        labels = np.asarray(dataset.labels)
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
            ValueError: where the checkpoint was trained on other classes.
        """
        if not self.classes:
            return
        if state_dict["classes"] != self.classes:
            raise ValueError(
                f"The checkpoint was trained on the classes {state_dict['classes']}, but the data has {self.classes}."
                f" Point root at the data that it was trained on, or train anew."
            )
        if state_dict["split"] != self.split:
            self.stored_split = state_dict["split"]
            self.setup()
