"""The codes that the priors are trained on: all sounds, encoded by a fitted VQ-VAE."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import track
from torch.utils.data import DataLoader, Dataset

from datamodules.data_module import DataModule
from datamodules.files.data_root import check_fitted_on
from datamodules.files.decoded_sounds import SoundFile, decode_sounds, sound_files
from datamodules.files.loading import SampleKey, sample_generator, sample_key
from datamodules.files.split import PARTS
from datamodules.sounds import Windows, padded
from media.files import atomic_path
from runtime.checkpoint import fingerprint, load

WINDOWS_PER_LENGTH = 10
ENCODING_BATCH_SIZE = 32


class ShiftedWindows(Windows):
    """Training windows at a small hop, each in several versions: as it is, and with random shifts and gains.

    Args:
        files: the sounds.
        window_samples: samples in a window.
        seed: seed of the shifts and gains, which are a function of (seed, index).
        gain_db: largest change of the loudness in dB, up or down; no peak gets above 1.
        num_augmentations: versions of each window, the first of which is unchanged.
    """

    def __init__(
        self, files: list[SoundFile], window_samples: int, seed: int, gain_db: float, num_augmentations: int
    ) -> None:
        super().__init__(files, window_samples, max(window_samples // WINDOWS_PER_LENGTH, 1))
        self.seed, self.gain_db, self.num_augmentations = seed, gain_db, num_augmentations

    def __len__(self) -> int:
        return len(self.windows) * self.num_augmentations

    def __getitem__(self, index: int) -> dict[str, Any]:
        number, augmentation = divmod(index, self.num_augmentations)
        file, start = self.windows[number]
        spare = file.num_samples - self.window_samples
        place = max(-spare, 0) // 2
        gain = 1.0
        if augmentation > 0:
            generator = sample_generator(self.seed, SampleKey(0, index))
            start = int(np.clip(start + generator.integers(-self.hop_samples, self.hop_samples + 1), 0, max(spare, 0)))
            place = int(generator.integers(max(-spare, 0) + 1))
            gain = 10 ** (generator.uniform(-self.gain_db, self.gain_db) / 20)
        window = padded(file.samples()[start : start + self.window_samples], place, self.window_samples)
        window *= min(gain, max(1.0, 1 / max(np.abs(window).max(), 1e-9)))
        return {"waveform": torch.from_numpy(window), "label": file.label}


class CodeWindows(Dataset):
    """Codes of windows of sound, in memory.

    An item is `{"<level>_codes": int64 (length,) for each level, "label": int, "index": int}`.

    Args:
        codes: (windows, length) codes of each level, flattened time-major.
        labels: (windows,) classes.
    """

    def __init__(self, codes: dict[str, np.ndarray], labels: np.ndarray) -> None:
        self.codes, self.labels = codes, labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, key: SampleKey | int) -> dict[str, Any]:
        index = sample_key(key).index
        codes = {f"{level}_codes": torch.from_numpy(rows[index].astype(np.int64)) for level, rows in self.codes.items()}
        return codes | {"label": int(self.labels[index]), "index": index}


class CodesDataModule(DataModule):
    """Codes to train a prior on, with the split of the VQ-VAE. For more options see `DataModule`.

    The codes are cached. They are computed again if the VQ-VAE's weights, the sounds, their split or the augmentation
    change.

    Args:
        root: folder with the `sounds/<class>/*` that the VQ-VAE was fitted on.
        vqvae: checkpoint of the fitted VQ-VAE.
        num_workers: processes that load; 0 is enough, as the codes are in memory.
        gain_db, num_augmentations: augmentation of the training windows, see `ShiftedWindows`.
        num_predictions: windows of the test sounds, spread over the classes, that `predict` works on.

    Raises:
        FileNotFoundError: if the checkpoint is missing; the message has the command that makes it.
        ValueError: if the root has other classes than the VQ-VAE.
    """

    levels: tuple[str, ...]

    def __init__(
        self,
        root: str = "data",
        vqvae: str = "checkpoints/vqvae/best.ckpt",
        num_workers: int = 0,
        gain_db: float = 6.0,
        num_augmentations: int = 4,
        num_predictions: int = 8,
        **options: Any,
    ) -> None:
        super().__init__(root, num_workers=num_workers, **options)
        self.vqvae_path = vqvae
        self.gain_db, self.num_augmentations = gain_db, num_augmentations
        self.num_predictions = num_predictions
        self.vqvae: Any = None

    def prepare_data(self) -> None:
        self._load_vqvae()
        decode_sounds(self.root, self.vqvae.geometry.sample_rate_hz, retry_unreadable=True)
        self._cached_codes(self._files())

    def setup(self, stage: str | None = None) -> None:
        self._load_vqvae()
        files = self._files()
        self.split = {"sounds": {file.name: file.part for file in files}}
        with np.load(self._cached_codes(files)) as arrays:
            self.train_set, self.val_set, self.test_set = (
                CodeWindows({level: arrays[f"{part}_{level}"] for level in self.levels}, arrays[f"{part}_label"])
                for part in PARTS
            )

    def predict_dataloader(self) -> DataLoader:
        return DataLoader(self.examples(self.test_set, self.num_predictions), batch_size=self.batch_size)

    def facts(self) -> dict[str, Any]:
        """Classes and split, the geometry, and the fingerprint of the codebooks that the codes belong to."""
        codec = self.vqvae.codec
        return super().facts() | {"geometry": codec.geometry.as_dict(), "codebooks": codec.fingerprint()}

    def _load_vqvae(self) -> None:
        if self.vqvae is None:
            self.vqvae = load(self.vqvae_path, config="vqvae.yaml")
            self.root = replace(self.root, stored_split=self.root.stored_split or self.vqvae.facts["split"])

    def _files(self) -> list[SoundFile]:
        self.classes = self.root.list_classes("sounds")
        check_fitted_on(self.vqvae_path, self.vqvae.facts["classes"], self.root, self.classes)
        return sound_files(self.root, self.vqvae.geometry.sample_rate_hz)

    def _cached_codes(self, files: list[SoundFile]) -> Path:
        """The file of the codes, which are computed if it is missing."""
        key = {
            "vqvae": fingerprint(self.vqvae.network.state_dict()),
            "geometry": self.vqvae.geometry.as_dict(),
            "sounds": [(file.name, file.part, file.digest) for file in files],
            "augmentation": (self.seed, self.gain_db, self.num_augmentations, WINDOWS_PER_LENGTH),
        }
        digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:16]
        path = Path(self.root.cache_dir) / "codes" / f"{digest}.npz"  # without the root's name, as data may move
        if not path.exists():
            arrays = {f"{part}_{name}": array for part in PARTS for name, array in self._encode(files, part).items()}
            with atomic_path(path) as temporary, temporary.open("wb") as file:
                np.savez(file, **arrays)
        return path

    @torch.no_grad()
    def _encode(self, files: list[SoundFile], part: str) -> dict[str, np.ndarray]:
        chosen = [file for file in files if file.part == part]
        window_samples = self.vqvae.geometry.window_samples
        if part == "train":
            windows = ShiftedWindows(chosen, window_samples, self.seed, self.gain_db, self.num_augmentations)
        else:
            windows = Windows(chosen, window_samples)
        device = self.trainer.strategy.root_device if self.trainer else torch.device("cpu")
        dtype = np.uint8 if self.vqvae.network.num_codes <= 256 else np.int32
        codec = self.vqvae.codec.to(device)
        found = []
        batches = DataLoader(windows, batch_size=ENCODING_BATCH_SIZE)
        for batch in track(batches, description=f"Computing codes ({part})", transient=True):
            top, bottom = (codes.cpu().numpy().astype(dtype) for codes in codec.encode(batch["waveform"].to(device)))
            found.append((top, bottom, batch["label"].numpy()))
        return dict(zip(("top", "bottom", "label"), map(np.concatenate, zip(*found, strict=True)), strict=True))


class TopCodesDataModule(CodesDataModule):
    """Top codes, for the top prior."""

    levels = ("top",)


class BottomCodesDataModule(CodesDataModule):
    """Bottom codes and the top codes above them, for the bottom prior."""

    levels = ("top", "bottom")
