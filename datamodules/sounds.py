"""Windows of sound, and the VQ-VAE's data module."""

from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from datamodules.data_module import DataModule
from datamodules.files.data_root import check_num_classes
from datamodules.files.decoded_sounds import SoundFile, decode_sounds, sound_files
from datamodules.files.loading import SampleKey, evaluation_loader, sample_generator, sample_key
from datamodules.files.split import PARTS
from media import Geometry

SILENCE_DB = -50.0  # below the loudest window of its sound, at which a window is nearly silent


class TrainingCrops(Dataset):
    """Random windows of sounds, in each epoch as many of a sound as it has whole and started windows.

    Of several random crops of a sound one is drawn in proportion to its energy, so that a bark is seen more often than
    the pause after it. A sound shorter than a window is placed at random in silence.

    Args:
        files: the sounds.
        window_samples: samples in a window.
        seed: seed of the random choices, which are a function of (seed, epoch, index).
        gain_db: largest change of the loudness in dB, up or down, uniformly drawn; no peak gets above 1.
        num_candidate_crops: random crops that are compared; 1 for a crop at random.
    """

    def __init__(
        self, files: list[SoundFile], window_samples: int, seed: int, gain_db: float, num_candidate_crops: int
    ) -> None:
        self.window_samples = window_samples
        self.seed, self.gain_db, self.num_candidate_crops = seed, gain_db, num_candidate_crops
        self.files = [file for file in files for _ in range(-(-file.num_samples // window_samples))]

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, key: SampleKey | int) -> dict[str, Any]:
        key = sample_key(key)
        generator = sample_generator(self.seed, key)
        file = self.files[key.index]
        window = self._window(file, generator)
        if self.gain_db:
            gain = 10 ** (generator.uniform(-self.gain_db, self.gain_db) / 20)
            window *= min(gain, 1 / max(np.abs(window).max(), 1e-9))
        return {"waveform": torch.from_numpy(window), "label": file.label, "index": key.index}

    def _window(self, file: SoundFile, generator: np.random.Generator) -> np.ndarray:
        spare = file.num_samples - self.window_samples
        samples = file.samples()
        if spare <= 0:
            return padded(samples, generator.integers(-spare, endpoint=True), self.window_samples)
        starts = generator.integers(spare, size=self.num_candidate_crops, endpoint=True)
        candidates = [samples[start : start + self.window_samples] for start in starts]
        energies = np.array([_energy(window) for window in candidates])
        weights = energies / energies.sum() if energies.any() else None
        return np.array(candidates[generator.choice(len(candidates), p=weights)])


class Windows(Dataset):
    """Consecutive windows that cover each sound, always the same. The last one ends with its sound.

    A sound shorter than a window is placed in the middle of silence. Windows that are nearly silent compared with the
    loudest of their sound are left out.

    Args:
        files: the sounds.
        window_samples: samples in a window.
        hop_samples: samples from one window to the next; None for windows side by side.
    """

    def __init__(self, files: list[SoundFile], window_samples: int, hop_samples: int | None = None) -> None:
        self.window_samples = window_samples
        self.hop_samples = hop_samples or window_samples
        self.windows = [(file, start) for file in files for start in self._audible_starts(file)]
        self.labels = [file.label for file, _ in self.windows]

    @property
    def files(self) -> list[SoundFile]:
        """The sound of each window."""
        return [file for file, _ in self.windows]

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        file, start = self.windows[index]
        window = file.samples()[start : start + self.window_samples]
        window = padded(window, (self.window_samples - len(window)) // 2, self.window_samples)
        return {"waveform": torch.from_numpy(window), "label": file.label, "index": index}

    def _audible_starts(self, file: SoundFile) -> list[int]:
        last = max(file.num_samples - self.window_samples, 0)
        starts = [*range(0, last, self.hop_samples), last]
        samples = file.samples()
        energies = [_energy(samples[start : start + self.window_samples]) for start in starts]
        loudest = max(energies)
        return [s for s, energy in zip(starts, energies, strict=True) if energy >= loudest * 10 ** (SILENCE_DB / 10)]


class SpectrogramDataModule(DataModule):
    """Windows of sound to train, validate and test a VQ-VAE on; their spectrograms are computed on the device.

    An item is `{"waveform": float32 (window_samples,), "label": int, "index": int}`. Decoded sounds are kept in the
    cache, as decoding in every epoch is slow. For more options see `DataModule`.

    Args:
        geometry: sample rate and length of a window.
        num_classes: expected number of classes.
        root: folder with `sounds/<class>/*`.
        gain_db, num_candidate_crops: see `TrainingCrops`.
        num_predictions: windows of the test sounds, spread over the classes, that `predict` works on; None for all.
    """

    def __init__(
        self,
        geometry: Geometry,
        num_classes: int,
        root: str = "data",
        gain_db: float = 6.0,
        num_candidate_crops: int = 4,
        num_predictions: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(root, **options)
        self.geometry, self.num_classes = geometry, num_classes
        self.gain_db, self.num_candidate_crops = gain_db, num_candidate_crops
        self.num_predictions = num_predictions

    def predict_dataloader(self) -> DataLoader:
        if self.num_predictions is None:
            return self.test_dataloader()
        chosen = self.examples(self.test_set, self.num_predictions)
        return evaluation_loader(chosen, self.batch_size, self.num_workers)

    def known_facts(self) -> dict[str, Any]:
        return {"geometry": self.geometry.as_dict()}

    def prepare_data(self) -> None:
        decode_sounds(self.root, self.geometry.sample_rate_hz, retry_unreadable=True)

    def setup(self, stage: str | None = None) -> None:
        self.classes = self.root.list_classes("sounds")
        check_num_classes(self.num_classes, self.classes)
        files = sound_files(self.root, self.geometry.sample_rate_hz)
        self.split = {"sounds": {file.name: file.part for file in files}}
        train, val, test = ([file for file in files if file.part == part] for part in PARTS)
        window_samples = self.geometry.window_samples
        self.train_set = TrainingCrops(train, window_samples, self.seed, self.gain_db, self.num_candidate_crops)
        self.val_set = Windows(val, window_samples)
        self.test_set = Windows(test, window_samples)


def padded(samples: np.ndarray, start: int, num_samples: int) -> np.ndarray:
    """A window of silence, in which a sound starts at sample `start`."""
    window = np.zeros(num_samples, np.float32)
    window[start : start + len(samples)] = samples
    return window


def _energy(samples: np.ndarray) -> float:
    return float(np.dot(samples, samples))
