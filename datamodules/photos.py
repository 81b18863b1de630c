"""Photos for the classifier."""

from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from datamodules.data_module import DataModule
from datamodules.files.data_root import OTHER, DataRoot, check_num_classes, class_of, list_visible
from datamodules.files.loading import SampleKey, evaluation_loader, sample_generator, sample_key
from datamodules.files.read_once import leave_out_unreadable, read_each, read_once, report_unreadable
from datamodules.files.split import decide_split
from media.video.photo_files import read_photo
from networks.vision.image_transform import evaluation_transform

MAX_REFERENCES = 1000


def training_transform(image_size: int) -> v2.Transform:
    """`evaluation_transform` with a random crop and flip, and random changes of brightness, contrast and colour."""
    return v2.Compose(
        [
            v2.RandomResizedCrop(image_size, scale=(0.4, 1.0)),
            v2.RandomHorizontalFlip(),
            v2.ColorJitter(brightness=0.2, contrast=0.2, saturation=0.2),
            v2.ToDtype(torch.float32, scale=True),
        ]
    )


def check_photos(root: DataRoot, retry_unreadable: bool = False) -> dict[str, dict[str, Any]]:
    """Decodes the new and changed photos, and returns the records of all photos, see `read_once`."""

    def read(name: str, path: Path, version: str) -> dict[str, Any]:
        read_photo(path)
        return {}

    return read_once(root, "photos", "photos_read", read, retry_unreadable=retry_unreadable, with_other=True)


def readable_inputs(inputs: str | list[str]) -> list[Path]:
    """The readable photos among those that are named, or in named folders. Others are reported.

    Raises:
        FileNotFoundError: if a named file does not exist.
        ValueError: if there is no readable photo.
    """
    paths: list[Path] = []
    for path in map(Path, [inputs] if isinstance(inputs, str) else inputs):
        paths += [file for file in list_visible(path) if file.is_file()] if path.is_dir() else [path]
    unreadable = read_each(map(str, paths), read_photo, "Reading photos")
    if len(unreadable) == len(paths):
        raise ValueError(f"Expected photos in {inputs}, found {len(paths)} files, none of them a readable photo.")
    report_unreadable(unreadable)
    return [path for path in paths if str(path) not in unreadable]


class Photos(Dataset):
    """Photos, decoded on access.

    An item is `{"image": float32 (3, image_size, image_size) in [0, 1], "label": int, "index": int, "path": str}`.

    Args:
        paths: paths of the photos.
        labels: label of each photo; -1 if it shows none of the classes, or the class is not known.
        transform: transform from uint8 (3, height, width) to the image.
        seed: seed of the transform, whose random choices are a function of (seed, epoch, index).
    """

    def __init__(self, paths: list[Path], labels: list[int], transform: v2.Transform, seed: int = 0) -> None:
        self.paths, self.labels = paths, labels
        self.transform, self.seed = transform, seed

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, key: SampleKey | int) -> dict[str, Any]:
        key = sample_key(key)
        path = self.paths[key.index]
        pixels = torch.from_numpy(read_photo(path)).permute(2, 0, 1)
        with torch.random.fork_rng(devices=[]):
            # torch.manual_seed would reset the generators of the accelerators too.
            torch.default_generator.manual_seed(int(sample_generator(self.seed, key).integers(2**63)))
            image = self.transform(pixels)
        return {"image": image, "label": self.labels[key.index], "index": key.index, "path": str(path)}


class PhotoDataModule(DataModule):
    """Photos to train, validate and test the classifier on, or other photos to classify.

    Photos of something else, in `<root>/photos/_other`, are held-out data only: they show what is to be refused.

    For more options see `DataModule`.

    Args:
        num_classes: expected number of classes.
        root: folder with `photos/<class>/*`.
        batch_size: photos in a batch of one process.
        image_size: pixels of an image's sides.
        inputs: a photo, a folder of photos or a list of photos that `predict` classifies; None for the test photos.

    Attributes:
        reference_set: up to `MAX_REFERENCES` training photos, unchanged, for the familiarity of others.
    """

    reference_set: Dataset

    def __init__(
        self,
        num_classes: int,
        root: str = "data",
        batch_size: int = 32,
        image_size: int = 224,
        inputs: str | list[str] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(root, batch_size, **options)
        self.num_classes, self.image_size = num_classes, image_size
        self.inputs = inputs
        self.predict_set: Photos | None = None

    def known_facts(self) -> dict[str, Any]:
        return {"image_size": self.image_size}

    def prepare_data(self) -> None:
        if self.inputs is None:
            check_photos(self.root, retry_unreadable=True)

    def setup(self, stage: str | None = None) -> None:
        evaluation = evaluation_transform(self.image_size)
        if stage == "predict" and self.inputs is not None:
            paths = readable_inputs(self.inputs)
            self.predict_set = Photos(paths, [-1] * len(paths), evaluation)
            return

        self.classes = self.root.list_classes("photos")
        check_num_classes(self.num_classes, self.classes)
        self.paths = self.root.files("photos", with_other=True)
        split = decide_split(self.root, "photos", dict.fromkeys(leave_out_unreadable(check_photos(self.root)), 1.0))
        self.split = {"photos": split}
        known = [name for name in split if split[name] == "train" and class_of(name) != OTHER]
        self.train_set = self.photos(known, training_transform(self.image_size))
        self.reference_set = self.photos(known[:: len(known) // MAX_REFERENCES + 1], evaluation)
        self.val_set = self.photos([name for name in split if split[name] == "val"], evaluation)
        self.test_set = self.photos([name for name in split if split[name] == "test"], evaluation)

    def photos(self, names: list[str], transform: v2.Transform) -> Dataset:
        """A dataset of the photos of these names."""
        labels = [-1 if class_of(name) == OTHER else self.classes.index(class_of(name)) for name in names]
        return Photos([self.paths[name] for name in names], labels, transform, self.seed)

    def reference_dataloader(self) -> DataLoader:
        """All references, in every process."""
        return DataLoader(self.reference_set, self.batch_size, num_workers=self.num_workers)

    def predict_dataloader(self) -> DataLoader:
        return evaluation_loader(self.predict_set or self.test_set, self.batch_size, self.num_workers)
