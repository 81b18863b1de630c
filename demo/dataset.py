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

    Why: a first run, and the tests, need a paired set of photos and sounds that is small, free and always there.

    Every file depends on the seed, its label and its number alone, so a larger set starts with the smaller one. A file
    that exists is left as it is, even if it was made with another seed or size.

    Args:
        root: folder of the data set.
        num_photos: photos of each label.
        num_sounds: sounds of each label, 16 kHz mono.
        seed: number that all files are drawn from, 0 or more.
        photo_size: width and height of a photo, in pixels.

    Raises:
        ValueError: if a count or the seed is negative.
    """
    root = Path(root)
    for name, value in (("num_photos", num_photos), ("num_sounds", num_sounds), ("seed", seed)):
        if value < 0:
            raise ValueError(f"{name} is {value}, expected 0 or more.")

    def rng_of(label: str, number: int) -> np.random.Generator:
        return np.random.default_rng([seed, LABELS.index(label), number])

    def write_photo(path: Path, label: str, number: int) -> None:
        draw_photo(label, rng_of(label, number), photo_size).save(path, format="JPEG", quality=92)

    def write_sound(path: Path, label: str, number: int) -> None:
        sound = synthesise(label, rng_of(label, number), SAMPLE_RATE_HZ)
        soundfile.write(path, sound, SAMPLE_RATE_HZ, format="FLAC")

    for kind, suffix, count, write in (
        ("photos", "jpg", num_photos, write_photo),
        ("sounds", "flac", num_sounds, write_sound),
    ):
        items = [(label, number) for label in LABELS for number in range(1, count + 1)]
        for label, number in track(items, description=f"{kind:6}", disable=not items):
            path = root / kind / label / f"{label}_{number:03d}.{suffix}"
            write_once(path, lambda part, write=write, item=(label, number): write(part, *item))


def write_once(path: Path, write: Callable[[Path], object]) -> None:
    """Has a file written under a temporary name that becomes `path`; does nothing if `path` exists.

    Why: a run that is cut off leaves no half-written file, and the next run resumes from there.
    """
    if not path.exists():
        with atomic_path(path) as temporary:
            write(temporary)
