"""Writes the demo's photos and sounds to disk, in the folders that the data modules read."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
from rich.progress import track

from demo import LABELS
from demo.photos import draw_photo
from demo.sounds import synthesise
from media.files import atomic_path

SAMPLE_RATE_HZ = 16_000


def make_dataset(root: Path, num_photos: int, num_sounds: int, seed: int = 1, photo_size: int = 128) -> None:
    """Writes `<root>/photos/<label>/<label>_001.jpg` … and `<root>/sounds/<label>/<label>_001.flac` … for both labels.

    Why: a first run and the tests need a small data set that is always available.

    A file depends only on the seed, its label and its number, so a larger set starts with the smaller one. An existing
    file is left alone, even if it was made with another seed or size.

    Args:
        root: folder of the data set.
        num_photos: photos of each label.
        num_sounds: sounds of each label, 16 kHz mono.
        seed: number that all files are drawn from, 0 or more.
        photo_size: width and height of a photo, in pixels.

    Raises:
        ValueError: if a count or the seed is negative.
    """
    for name, value in (("num_photos", num_photos), ("num_sounds", num_sounds), ("seed", seed)):
        if value < 0:
            raise ValueError(f"{name} is {value}, expected 0 or more.")

    def rng_of(label: str, number: int) -> np.random.Generator:
        return np.random.default_rng([seed, LABELS.index(label), number])

    def write_photo(path: Path, label: str, number: int) -> None:
        draw_photo(label, rng_of(label, number), photo_size).save(path, quality=92)

    def write_sound(path: Path, label: str, number: int) -> None:
        soundfile.write(path, synthesise(label, rng_of(label, number), SAMPLE_RATE_HZ), SAMPLE_RATE_HZ)

    kinds = (("photos", "jpg", num_photos, write_photo), ("sounds", "flac", num_sounds, write_sound))
    for kind, suffix, count, write in kinds:
        items = [(label, number) for label in LABELS for number in range(1, count + 1)]
        for label, number in track(items, description=f"{kind:6}", disable=not items):
            write_once(Path(root, kind, label, f"{label}_{number:03d}.{suffix}"), write, label, number)


def write_once(path: Path, write: Callable[..., object], *args: object) -> None:
    """Calls `write` with a temporary name, which then becomes `path`, and the arguments; skips an existing `path`.

    Why: an interrupted run leaves no incomplete file, and the next run resumes from there.
    """
    if not Path(path).exists():
        with atomic_path(path) as temporary:
            write(temporary, *args)
