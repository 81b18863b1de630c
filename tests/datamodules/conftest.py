"""Small paired roots of synthetic sounds and photos."""

import hashlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image

from datamodules.files import decoded_sounds

RATE_HZ = 8_000


@pytest.fixture
def cache_dir(tmp_path: Path) -> str:
    return str(tmp_path / "cache")


class Reads:
    """Counts which sounds are decoded, which cached ones are opened, and how many are hashed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.decoded: Counter[str] = Counter()
        self.opened: Counter[str] = Counter()
        self.num_hashed = 0
        decoding, opening, hashing = decoded_sounds.read_sound, np.load, hashlib.sha256

        def decode(path: Path, sample_rate_hz: int) -> np.ndarray:
            self.decoded[path.name] += 1
            return decoding(path, sample_rate_hz)

        def load(path: Path, **options: Any) -> Any:
            if isinstance(path, Path) and path.suffix == ".npy":
                self.opened[path.name.split(".wav")[0] + ".wav"] += 1
            return opening(path, **options)

        def digest(data: Any = b"") -> Any:
            self.num_hashed += isinstance(data, np.ndarray)
            return hashing(data)

        monkeypatch.setattr(decoded_sounds, "read_sound", decode)
        monkeypatch.setattr(np, "load", load)
        monkeypatch.setattr(hashlib, "sha256", digest)

    def clear(self) -> None:
        """Starts from zero."""
        self.decoded.clear()
        self.opened.clear()
        self.num_hashed = 0


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    return Reads(monkeypatch)


@pytest.fixture
def sound_root(tmp_path: Path) -> Callable[..., Path]:
    """Makes a root of noise, given the seconds of each sound of each class."""

    def make(**seconds_of_class: list[float]) -> Path:
        generator = np.random.default_rng(0)
        for class_name, seconds in seconds_of_class.items():
            for number, length_s in enumerate(seconds):
                noise = generator.uniform(-0.5, 0.5, round(length_s * RATE_HZ))
                write_sound(tmp_path / "data/sounds" / class_name / f"{class_name}_{number}.wav", noise)
        return tmp_path / "data"

    return make


@pytest.fixture
def photo_root(tmp_path: Path) -> Callable[..., Path]:
    """Makes a root of photos of noise, given the number of photos of each class."""

    def make(**num_photos: int) -> Path:
        generator = np.random.default_rng(0)
        for class_name, num in num_photos.items():
            folder = tmp_path / "data/photos" / class_name
            folder.mkdir(parents=True)
            for number in range(num):
                pixels = generator.integers(256, size=(40, 60, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{class_name}_{number}.png")
        return tmp_path / "data"

    return make


def write_sound(path: Path, samples: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, RATE_HZ, subtype="FLOAT")


def tree(folder: Path) -> dict[str, int]:
    """Every path below a folder and when it was changed."""
    return {str(path): path.stat().st_mtime_ns for path in [folder, *folder.rglob("*")]}
