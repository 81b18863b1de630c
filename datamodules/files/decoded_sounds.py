"""The sounds of a root, decoded once into the cache."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from datamodules.files.data_root import DataRoot, class_of
from datamodules.files.groups import find_groups
from datamodules.files.read_once import leave_out_unreadable, read_once, report_unreadable
from datamodules.files.split import decide_split
from media.files import atomic_path
from media.sound.sound_files import read_sound

MAX_NAME_BYTES = 220  # of 255; version, suffix and temporary files need the rest


@dataclass(frozen=True)
class SoundFile:
    """A readable sound of the root, decoded and resampled in the cache.

    Args:
        name: name as `<class>/<file>`.
        label: index of its class in the class list.
        part: part of the split: `train`, `val` or `test`; `judged` for a sound of no data root.
        num_samples: samples in the resampled sound.
        cache_path: path of its samples, float32 (num_samples,), as a .npy file.
        digest: short hash of the samples.
        group: name of its group, see `find_groups`; None for none.
    """

    name: str
    label: int
    part: str
    num_samples: int
    cache_path: Path
    digest: str = ""
    group: str | None = None

    def samples(self) -> np.ndarray:
        """The sound, float32 (num_samples,), read-only and memory-mapped."""
        return np.load(self.cache_path, mmap_mode="r")


def decode_sounds(
    root: DataRoot, sample_rate_hz: int, retry_unreadable: bool = False, kind: str = "sounds"
) -> dict[str, dict[str, Any]]:
    """Decodes and hashes the sounds of a kind that are not in the cache.

    Returns:
        Records of all sounds, see `read_once`, with `num_samples` and `digest` if they are readable.
    """
    folder = _cache_folder(root, sample_rate_hz, kind)

    def read(name: str, path: Path, version: str) -> dict[str, Any]:
        cache_path = find_cached(folder, name, version)
        if not cache_path.exists():  # version 0.1 decoded sounds without a record
            with atomic_path(cache_path) as temporary:
                np.save(temporary, read_sound(path, sample_rate_hz))
        samples = np.load(cache_path)
        return {"num_samples": len(samples), "digest": hashlib.sha256(samples).hexdigest()[:16]}

    def is_kept(name: str, version: str) -> bool:
        return find_cached(folder, name, version).exists()

    return read_once(root, kind, folder.name, read, is_kept, retry_unreadable)


def sound_files(root: DataRoot, sample_rate_hz: int) -> list[SoundFile]:
    """The readable sounds of a root, by class and in natural order. Those that are not in the cache are decoded.

    Raises:
        FileNotFoundError, ValueError: as `DataRoot.files`, `leave_out_unreadable` and `decide_split`.
    """
    records = decode_sounds(root, sample_rate_hz)
    classes = list(dict.fromkeys(map(class_of, records)))
    names = leave_out_unreadable(records)
    groups = find_groups(root, "sounds", names)
    durations_s = {name: records[name]["num_samples"] / sample_rate_hz for name in names}
    split = decide_split(root, "sounds", durations_s, groups)
    files = []
    for name in names:
        label, record = classes.index(class_of(name)), records[name]
        path = find_cached(_cache_folder(root, sample_rate_hz), name, record["version"])
        files.append(
            SoundFile(name, label, split[name], record["num_samples"], path, record["digest"], groups.get(name))
        )
    return files


def judged_sound_files(folder: Path, sample_rate_hz: int, cache_dir: str, classes: list[str]) -> list[SoundFile]:
    """The readable sounds in `<folder>/<class>/*`, which belong to no data root. The others are reported.

    Raises:
        FileNotFoundError: if the folder is missing, or a class in it is empty.
        ValueError: if it has readable sounds of other classes.
    """
    folder = folder.resolve()
    root = DataRoot(str(folder.parent), cache_dir)
    records = decode_sounds(root, sample_rate_hz, kind=folder.name)
    report_unreadable({name: record["unreadable"] for name, record in records.items() if record["unreadable"]})
    records = {name: record for name, record in records.items() if not record["unreadable"]}
    if (found := list(dict.fromkeys(map(class_of, records)))) != classes:
        raise ValueError(
            f"{folder} has readable sounds of the classes {found}, expected {classes}, those that it is compared with."
        )
    cache = _cache_folder(root, sample_rate_hz, folder.name)
    return [
        SoundFile(
            f"{folder.name}/{name}",
            classes.index(class_of(name)),
            "judged",
            record["num_samples"],
            find_cached(cache, name, record["version"]),
        )
        for name, record in records.items()
    ]


def _cache_folder(root: DataRoot, sample_rate_hz: int, kind: str = "sounds") -> Path:
    return root.cache / f"{kind}_{sample_rate_hz}hz"


def find_cached(folder: Path, name: str, version: str) -> Path:
    """The .npy file in a folder of the cache for the values of a file of the root."""
    class_name, _, file = name.rpartition("/")
    if len(encoded := os.fsencode(file)) > MAX_NAME_BYTES:
        file = f"{encoded[:100].decode(errors='ignore')}_{hashlib.sha256(encoded).hexdigest()[:16]}"
    return folder / class_name / f"{file}.{version}.npy"
