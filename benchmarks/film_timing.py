"""Onsets of a film's picture beside those of its own sound, see `benchmarks/timing.py`.

Onsets of sound are the events that nobody had to write down: in a film of drums, barks or hits, each loud start is
something that the picture may show.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.box import SIMPLE
from rich.table import Table
from scipy.stats import wilcoxon

from datamodules.films import MAX_SIDE, read_film_sound
from media.sound.onsets import SoundOnsetSettings
from media.video.activity import ActivityMeter, ActivitySettings
from media.video.motion import RATE_HZ
from media.video.stabilisation import StabilisationSettings
from media.video.video_files import VIDEO_SUFFIXES, probe_video, read_frames
from metrics.event_timing import EventTiming, Recording, measure_timing
from networks.vision.moments import MomentNetwork
from pipelines.moments import MomentFinder

TOLERANCES_S = (0.04, 0.08, 0.16)
MAIN_S = 0.08  # the tolerance of the column p
SPARSE_HZ = 3.0  # onsets of sound a second up to which a film has a row in which chance hits little

FindOnsets = Callable[[Path], np.ndarray]


@dataclass(frozen=True)
class FilmTiming:
    """A film's onsets, compared at each tolerance of `TOLERANCES_S`."""

    name: str
    recording: Recording
    figures: tuple[EventTiming, ...]

    @property
    def lifts(self) -> np.ndarray:
        """(tolerances,) F1, less that of shifted onsets."""
        return np.array([one.f1 - one.shifted_f1 for one in self.figures])

    @property
    def onsets_hz(self) -> float:
        """Onsets of the sound in a second."""
        return len(self.recording.events_s) / self.recording.duration_s


def list_films(folders: Iterable[Path]) -> list[Path]:
    """Lists the videos in folders and those below.

    Raises:
        FileNotFoundError: if a folder holds no video.
    """
    films: list[Path] = []
    for folder in folders:
        found = sorted(path for path in Path(folder).rglob("*") if path.suffix.lower() in VIDEO_SUFFIXES)
        if not found:
            raise FileNotFoundError(f"{folder} holds no video; expected a folder of films with sound.")
        films += found
    return films


def find_sound_onsets(path: Path, settings: SoundOnsetSettings) -> np.ndarray:
    """Finds the onsets of a film's own sound with librosa, in seconds from its first frame; none if it has no sound.

    Raises:
        ImportError: if librosa is not installed.
    """
    try:
        import librosa  # only films with sound need it
    except ImportError as error:
        raise ImportError("librosa is missing. Run pip install -r requirements-dev.txt.") from error
    rate_hz = settings.sample_rate_hz
    waveform = read_film_sound(path, rate_hz)
    if len(waveform) < settings.window:
        return np.zeros(0)
    strength = librosa.onset.onset_strength(
        y=waveform, sr=rate_hz, hop_length=settings.hop, n_fft=settings.window, n_mels=settings.num_mels
    )
    onsets_s = librosa.onset.onset_detect(
        onset_envelope=strength,
        sr=rate_hz,
        hop_length=settings.hop,
        units="time",
        normalize=False,
        delta=settings.min_rise,
    )
    return onsets_s[onsets_s >= settings.start_s]


def find_activity_onsets(path: Path, activity: ActivitySettings, stabilisation: StabilisationSettings) -> np.ndarray:
    """Finds the onsets of a film's picture with the activity meter, over the whole frame."""
    meter = ActivityMeter(RATE_HZ, activity, stabilisation)
    for _, frame in read_frames(path, RATE_HZ, MAX_SIDE):
        meter.add(frame)
    return meter.finish().onsets_s


def find_moment_onsets(path: Path, network: MomentNetwork) -> np.ndarray:
    """Finds the onsets of a film's picture with a fitted network."""
    finder, meter = MomentFinder(network), ActivityMeter(RATE_HZ)
    for _, frame in read_frames(path, RATE_HZ, MAX_SIDE):
        finder.add(frame)
        meter.add(frame)
    return finder.finish(meter.finish()).onsets_s


def measure_films(
    paths: Iterable[Path], find_onsets: FindOnsets, settings: SoundOnsetSettings
) -> tuple[list[FilmTiming], list[str]]:
    """Measures films, and names those whose sound has too few onsets.

    Args:
        paths: videos with sound.
        find_onsets: function of a path that finds the onsets of the picture, in seconds.
        settings: search for the onsets of sound.
    """
    measured, left_out = [], []
    for path in paths:
        events_s = find_sound_onsets(path, settings)
        if len(events_s) < settings.min_onsets:
            left_out.append(path.name)
            continue
        recording = Recording(events_s, find_onsets(path), probe_video(path).duration_s)
        figures = tuple(measure_timing([recording], tolerance_s) for tolerance_s in TOLERANCES_S)
        measured.append(FilmTiming(path.name, recording, figures))
    return measured, left_out


def film_table(films: Sequence[FilmTiming]) -> Table:
    """Tabulates each film; three figures in a cell are those at each tolerance, in percent."""
    table = _table("film")
    for film in films:
        p_value = film.figures[TOLERANCES_S.index(MAIN_S)].p_value
        table.add_row(film.name, *_cells(film.figures), _percent(film.lifts), f"{p_value:.3f}")
    return table


def summary_table(films: Sequence[FilmTiming], kinds: Sequence[str]) -> Table:
    """Tabulates all films, those with few onsets of sound, and those of each kind.

    Precision, recall and F1 are those of all onsets together. The lift is the mean over films, and its p is that of
    Wilcoxon's signed-rank test over films, against a lift of 0 or less.

    Args:
        films: measured films.
        kinds: starts of file names, for a row each.
    """
    groups = {"all": list(films), f"up to {SPARSE_HZ:g} onsets/s": [one for one in films if one.onsets_hz <= SPARSE_HZ]}
    groups |= {kind: [film for film in films if film.name.startswith(kind)] for kind in kinds}
    table = _table("films")
    for name, some in groups.items():
        if not some:
            raise ValueError(f"No measured film belongs to {name!r}; expected the start of a file's name.")
        recordings = [film.recording for film in some]
        together = [measure_timing(recordings, tolerance_s) for tolerance_s in TOLERANCES_S]
        lifts = np.stack([film.lifts for film in some])
        main = lifts[:, TOLERANCES_S.index(MAIN_S)]
        p_value = wilcoxon(main, alternative="greater").pvalue if main.any() else 1.0
        table.add_row(f"{len(some)} {name}", *_cells(together), _percent(lifts.mean(axis=0)), f"{p_value:.3f}")
    return table


def _table(first_column: str) -> Table:
    widths = "/".join(f"{1000 * tolerance_s:.0f}" for tolerance_s in TOLERANCES_S)
    columns = ("sound", "picture", "off by", "shifted", "precision", "recall", "F1", "shifted F1", "lift", "p")
    return Table(first_column, *columns, title=f"percent at ±{widths} ms", box=SIMPLE, padding=(0, 1, 0, 0))


def _cells(figures: Sequence[EventTiming]) -> list[str]:
    first = figures[0]
    scores = [_percent([getattr(one, name) for one in figures]) for name in ("precision", "recall", "f1", "shifted_f1")]
    distances_s = first.median_distance_s, first.shifted_distance_s
    distances = ["none" if np.isinf(one) else f"{1000 * one:.0f} ms" for one in distances_s]
    return [str(first.num_events), str(first.num_onsets), *distances, *scores]


def _percent(values: Iterable[float]) -> str:
    return " ".join(f"{100 * value:.0f}" for value in values)
