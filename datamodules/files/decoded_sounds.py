"""Every sound of a root, decoded once into the cache, for everyone who needs it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datamodules.files.data_root import (
    class_of,
    file_version,
    leave_out_unreadable,
    list_classes,
    list_files,
    read_each,
    root_key,
)
from datamodules.files.split import decide_split
from media.files import atomic_path
from media.sound.sound_files import read_sound


@dataclass(frozen=True)
class SoundFile:
    """A readable sound of the root, decoded and resampled in the cache.

    Args:
        name: `<class>/<file>`.
        label: place of its class in the class list.
        part: `train`, `val` or `test`.
        num_samples: its length at the rate that was asked for.
        cache_path: the decoded sound, float32 (num_samples,), as a .npy file.
    """

    name: str
    label: int
    part: str
    num_samples: int
    cache_path: Path

    def samples(self) -> np.ndarray:
        """The sound, float32 (num_samples,), read-only; only what is used of it is read from the disk."""
        return np.load(self.cache_path, mmap_mode="r")


def decode_sounds(root: str, cache_dir: str, sample_rate_hz: int) -> dict[str, str]:
    """Decodes every sound that is not in the cache yet; the root is only read.

    Returns: why it cannot be read, for each unreadable `<class>/<file>`.
    """

    def decode(name: str) -> None:
        samples = read_sound(Path(root) / "sounds" / name, sample_rate_hz)
        with atomic_path(_cache_path(root, cache_dir, sample_rate_hz, name)) as temporary:
            np.save(temporary, samples)

    missing = [n for n in list_files(root, "sounds") if not _cache_path(root, cache_dir, sample_rate_hz, n).exists()]
    return read_each(missing, decode, "Decoding sounds")


def sound_files(
    root: str, cache_dir: str, sample_rate_hz: int, stored_split: dict[str, str] | None = None
) -> list[SoundFile]:
    """Every readable sound of a root, by class and in natural order; what is not in the cache yet is decoded first.

    Args:
        root: folder with `sounds/<class>/*`.
        cache_dir: folder for decoded sounds and the split.
        sample_rate_hz: rate of the decoded sounds.
        stored_split: a split from a checkpoint, which comes before that in the cache.

    Raises:
        FileNotFoundError, ValueError: as `list_files`, `leave_out_unreadable` and `assign_split`.
    """
    names = leave_out_unreadable(list_files(root, "sounds"), decode_sounds(root, cache_dir, sample_rate_hz))
    classes = list_classes(root, "sounds")
    paths = {name: _cache_path(root, cache_dir, sample_rate_hz, name) for name in names}
    num_samples = {name: len(np.load(path, mmap_mode="r")) for name, path in paths.items()}
    weights = {name: num / sample_rate_hz for name, num in num_samples.items()}
    split = decide_split(root, cache_dir, "sounds", weights, stored_split)
    return [
        SoundFile(name, classes.index(class_of(name)), split[name], num_samples[name], paths[name]) for name in names
    ]


def _cache_path(root: str, cache_dir: str, sample_rate_hz: int, name: str) -> Path:
    version = file_version(Path(root) / "sounds" / name)
    return Path(cache_dir) / root_key(root) / f"sounds_{sample_rate_hz}hz" / f"{name}.{version}.npy"
