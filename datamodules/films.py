"""Films whose own sound says at which moments something is heard."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from datamodules.data_module import DataModule
from datamodules.files.data_root import DataRoot, class_of
from datamodules.files.decoded_sounds import find_cached
from datamodules.files.loading import SampleKey, sample_generator, sample_key
from datamodules.files.read_once import leave_out_unreadable, read_once
from datamodules.files.split import PARTS, decide_split
from media.files import atomic_path
from media.sound.onsets import SoundOnsetSettings, find_sound_onsets
from media.soundtrack.streams import read_track
from media.video.motion import CHANNELS, GRID, RATE_HZ, VERSION, MotionMeter, mirror_motion, normalise_motion
from media.video.video_files import probe_video, read_frames
from runtime.tell import tell

MAX_SIDE = 448  # pixels of the frames, as when a video is perceived
MAX_FILM_S = 60.0  # of a longer film only the start is used
SPREAD_S = 0.04  # of the target round an onset


def read_film_sound(path: Path, sample_rate_hz: int) -> np.ndarray:
    """Reads a film's own sound (samples,), mono, from its first frame to its last; empty if it has none."""
    film = probe_video(path)
    blocks = read_track(path, film.start_s, sample_rate_hz) if film.has_sound else ()
    sound = np.concatenate([np.zeros(0, np.float32), *(block.mean(axis=0) for block in blocks)])
    return sound[: round(film.duration_s * sample_rate_hz)]


def measure_motion(path: Path) -> np.ndarray:
    """Measures the motion (frames, channels, rows, columns) of a film's first minute, see `MotionMeter`."""
    meter = MotionMeter()
    for time_s, frame in read_frames(path, RATE_HZ, MAX_SIDE):
        if time_s >= MAX_FILM_S:
            break
        meter.add(frame)
    return meter.take(is_end=True)


@dataclass(frozen=True)
class Film:
    """A film of the root."""

    path: Path
    label: int  # index of its class in the class list
    motion: np.ndarray  # (frames, channels, rows, columns), as measured
    onsets_s: np.ndarray  # (onsets,) of its sound


class Films(Dataset):
    """The motion of films and the onsets of their sound, in memory.

    An item has `motion`, float32 (frames, channels, rows, columns), scaled; `target`, float32 (frames,), 1 at an onset
    and falling on both sides of it, -1 after the film's end; `onsets_s`, float32 (onsets,), infinite after the last;
    `num_frames`, `label`, `index` and `path`.

    Args:
        films: the films.
        num_frames: frames of an excerpt, drawn and changed at random for each item; None for whole films.
        seed: seed of the random choices, which are a function of (seed, epoch, index).
    """

    def __init__(self, films: list[Film], num_frames: int | None = None, seed: int = 0) -> None:
        self.films = [replace(film, motion=normalise_motion(film.motion)) for film in films]
        self.labels = [film.label for film in films]
        self.num_frames, self.seed = num_frames, seed
        self.longest = num_frames or max((len(film.motion) for film in films), default=0)
        self.most_onsets = max((len(film.onsets_s) for film in films), default=0)

    def __len__(self) -> int:
        return len(self.films)

    def __getitem__(self, key: SampleKey | int) -> dict[str, Any]:
        key = sample_key(key)
        film = self.films[key.index]
        motion, onsets_s = film.motion, film.onsets_s
        target = np.full(self.longest, -1, np.float32)
        padded = np.zeros((self.longest, len(CHANNELS), GRID, GRID), np.float32)
        start = 0
        if self.num_frames is not None:
            generator = sample_generator(self.seed, key)
            start = int(generator.integers(max(1, len(motion) - self.num_frames + 1)))
            motion = _vary(motion[start : start + self.num_frames], generator)
        times_s = (start + np.arange(len(motion))) / RATE_HZ
        distances = np.subtract.outer(times_s, onsets_s) / SPREAD_S
        padded[: len(motion)] = motion
        target[: len(motion)] = np.exp(-0.5 * distances**2).max(axis=1, initial=0)
        missing = self.most_onsets - len(onsets_s)
        return {
            "motion": torch.from_numpy(padded),
            "target": torch.from_numpy(target),
            "onsets_s": torch.from_numpy(np.pad(onsets_s, (0, missing), constant_values=np.inf).astype(np.float32)),
            "num_frames": len(motion),
            "label": film.label,
            "index": key.index,
            "path": str(film.path),
        }


def _vary(motion: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Changes the strength of the motion, moves it by a cell, and swaps left and right, each at random."""
    motion = mirror_motion(motion) if generator.random() < 0.5 else motion.copy()
    motion[:, :2] *= np.exp(generator.normal(0, 0.3))
    return np.roll(motion, generator.integers(-1, 2, 2), axis=(2, 3)) if generator.random() < 0.5 else motion


class FilmDataModule(DataModule):
    """Films with sound; those whose sound has too few onsets are left out. For more options see `DataModule`.

    The motion and the onsets of each film are computed once, and cached.

    Args:
        root: folder with `videos/<class>/*`.
        batch_size: films, or excerpts, in a batch of one process.
        num_workers: processes that load; 0 is enough, as everything is in memory.
        num_frames: frames of a training excerpt, at 25 a second.
        sound: search for the onsets of the sound.
    """

    def __init__(
        self,
        root: str = "data",
        batch_size: int = 8,
        num_workers: int = 0,
        num_frames: int = 100,
        sound: SoundOnsetSettings = SoundOnsetSettings(),  # noqa: B008 - frozen
        **options: Any,
    ) -> None:
        super().__init__(root, batch_size, num_workers, **options)
        self.num_frames, self.sound = num_frames, sound

    def prepare_data(self) -> None:
        read_films(self.root, self.sound, retry_unreadable=True)

    def setup(self, stage: str | None = None) -> None:
        self.classes = self.root.list_classes("videos")
        films = load_films(self.root, self.sound)
        split = decide_split(self.root, "videos", dict.fromkeys(films, 1.0))
        self.split = {"videos": split}
        train, val, test = ([film for name, film in films.items() if split[name] == part] for part in PARTS)
        self.train_set, self.val_set, self.test_set = Films(train, self.num_frames, self.seed), Films(val), Films(test)


def load_films(root: DataRoot, sound: SoundOnsetSettings) -> dict[str, Film]:
    """Loads the readable films by name. Those whose sound has too few onsets are left out, and their number reported.

    Raises:
        FileNotFoundError, ValueError: as `DataRoot.files` and `leave_out_unreadable`.
    """
    records, paths, classes = read_films(root, sound), root.files("videos"), root.list_classes("videos")
    readable = leave_out_unreadable(records)
    names = [name for name in readable if len(records[name]["onsets_s"]) >= sound.min_onsets]
    if num_left_out := len(readable) - len(names):
        tell(f"{num_left_out} films are left out: their sound has fewer than {sound.min_onsets} onsets.")
    films = {}
    for name in names:
        motion = np.load(find_cached(root.cache / "films", name, records[name]["version"])).astype(np.float32)
        onsets_s = np.array(records[name]["onsets_s"])
        films[name] = Film(paths[name], classes.index(class_of(name)), motion, onsets_s)
    return films


def read_films(root: DataRoot, sound: SoundOnsetSettings, retry_unreadable: bool = False) -> dict[str, dict[str, Any]]:
    """Measures the films that are not in the cache.

    Returns:
        Records of all films, see `read_once`, with `onsets_s` if they are readable.
    """

    def read(name: str, path: Path, version: str) -> dict[str, Any]:
        onsets_s = find_sound_onsets(read_film_sound(path, sound.sample_rate_hz), sound)
        with atomic_path(find_cached(root.cache / "films", name, version)) as temporary:
            np.save(temporary, measure_motion(path).astype(np.float16))
        return {"onsets_s": onsets_s[onsets_s < MAX_FILM_S].tolist()}

    def is_kept(name: str, version: str) -> bool:
        return find_cached(root.cache / "films", name, version).exists()

    digest = hashlib.sha256(repr((VERSION, sound)).encode()).hexdigest()[:8]
    return read_once(root, "videos", f"films_{digest}", read, is_kept, retry_unreadable)
