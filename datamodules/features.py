"""Features of photos from a frozen backbone: computed once, so that a head is fitted in a minute."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import track
from torch.utils.data import DataLoader, Dataset

from datamodules.files.loading import SampleKey, sample_key
from datamodules.files.read_once import file_version
from datamodules.photos import PhotoDataModule, Photos
from media.files import atomic_path
from networks import TransferClassifier
from networks.vision.image_transform import evaluation_transform
from runtime.checkpoint import fingerprint


class Version(Dataset):
    """The photos of a training set as they are drawn in one epoch."""

    def __init__(self, photos: Photos, epoch: int) -> None:
        self.photos, self.epoch = photos, epoch

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.photos[SampleKey(self.epoch, index)]


class Features(Dataset):
    """Features of photos, in memory.

    An item is `{"features": float32 (features,), "label": int, "index": int, "path": str}`. In each epoch it is the
    next version of the photo.

    Args:
        photos: the photos.
        features: (versions, photos, features).
    """

    def __init__(self, photos: Photos, features: np.ndarray) -> None:
        self.photos, self.features, self.labels = photos, features, photos.labels

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, key: SampleKey | int) -> dict[str, Any]:
        key = sample_key(key)
        features = torch.from_numpy(self.features[key.epoch % len(self.features), key.index].astype(np.float32))
        path = str(self.photos.paths[key.index])
        return {"features": features, "label": self.labels[key.index], "index": key.index, "path": path}


class FeatureDataModule(PhotoDataModule):
    """Features of the photos of `PhotoDataModule`. The backbone is neither trained nor run again during a fit.

    The features are cached. They are computed again if the photos, their split, the backbone or the image size change.

    Args:
        network: classifier whose backbone computes the features.
        weights: weights of the backbone, see `read_state`; not null, as random features are of no use.
        num_versions: versions of each training photo that take turns: the photo, and random crops and flips of it.
        options: options of `PhotoDataModule`.

    Raises:
        FileNotFoundError, ValueError: in `setup`, if there are no weights, or as `TransferClassifier.load_pretrained`.
    """

    def __init__(self, network: TransferClassifier, weights: str | None, num_versions: int = 8, **options: Any) -> None:
        super().__init__(**options)
        self.network, self.weights, self.num_versions = network, weights, num_versions
        self._is_loaded = False

    def known_facts(self) -> dict[str, Any]:
        """The image size, and the length of the features, in whose shape a step is measured."""
        return super().known_facts() | {"num_features": self.network.head.in_features}

    def prepare_data(self) -> None:
        super().prepare_data()
        if self.inputs is None:
            self.setup()

    def setup(self, stage: str | None = None) -> None:
        super().setup(stage)
        if self.predict_set is None:
            train, unchanged = self.train_set, evaluation_transform(self.image_size)
            features = self._features_of(Photos(train.paths, train.labels, unchanged, self.seed))
            if self.num_versions > 1:
                features = np.concatenate([features, self._features_of(train, self.num_versions - 1)])
            self.train_set = Features(train, features)
            self.reference_set, self.val_set, self.test_set = (
                Features(photos, self._features_of(photos))
                for photos in (self.reference_set, self.val_set, self.test_set)
            )

    def _features_of(self, photos: Photos, num_versions: int = 1) -> np.ndarray:
        """(versions, photos, features) float16."""
        self._load()
        key = {
            "backbone": self._fingerprint,
            "photos": [(path.parent.name, path.name, file_version(path)) for path in photos.paths],
            "transform": (repr(photos.transform), photos.seed, num_versions),
        }
        digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:16]
        path = Path(self.root.cache_dir) / "features" / f"{digest}.npy"
        if not path.exists():
            versions = [Version(photos, number) for number in range(num_versions)]
            with atomic_path(path) as temporary, temporary.open("wb") as file:
                np.save(file, np.stack([self._compute(version, len(versions)) for version in versions]))
        return np.load(path)

    def _load(self) -> None:
        if self.weights is None:  # `doctor` measures without them
            raise ValueError(
                "weights is null, expected package or the path of a file: the features of random weights are of no use."
            )
        if not self._is_loaded:
            self.network.load_pretrained(self.weights)
            self.network.eval().requires_grad_(False)
            self._fingerprint = fingerprint(self.network.trunk.state_dict())
            self._is_loaded = True

    @torch.inference_mode()
    def _compute(self, photos: Version, num_versions: int) -> np.ndarray:
        device = self.trainer.strategy.root_device if self.trainer else torch.device("cpu")
        network = self.network.to(device)
        batches = DataLoader(photos, self.batch_size, num_workers=self.num_workers)
        description = f"Computing features ({photos.epoch + 1} of {num_versions})"
        found = [
            network.features(batch["image"].to(device)).half().cpu().numpy()
            for batch in track(batches, description=description, transient=True)
        ]
        return np.concatenate(found)
