"""The report of an input: a page with its pictures, decisions and sounds."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from media.report.pictures import frame_uri
from media.report.rendering import write_page
from media.video.activity import Activity

NUM_COLOURS = 8
NUM_FRAMES = 12
LONGEST_EMBEDDED_S = 20 * 60  # of all variants together, about 10 MB of Opus


@dataclass(frozen=True)
class ReportVariant:
    """One of the sounds for an input."""

    seed: int
    output: Path  # file with the sound, relative to the report's folder
    sound: Path  # sound file to embed, as it is heard in the output
    spectrogram: np.ndarray  # levels (bins, columns) in [-1, 1], from time 0 to the end
    highest_hz: float  # frequency of the spectrogram's last bin
    events: list[tuple[float, float]] = field(default_factory=list)  # start and end in seconds; none without gaps


@dataclass(frozen=True)
class Report:
    """All contents of the page. A section without content is left out."""

    path: Path  # of the input; its name is the title
    facts: dict[str, str]  # size, length, frame rate and the like, in words
    variants: list[ReportVariant]  # sounds of the input, at least one
    frames: list[tuple[float, np.ndarray]]  # seconds and uint8 (height, width, 3), evenly spaced; or the photo
    duration_s: float  # length of the sound
    is_photo: bool
    class_times_s: np.ndarray  # (frames,) times of the probabilities, in rising order
    class_probabilities: np.ndarray  # (frames, classes) in [0, 1]
    classes: list[str]
    allowed: list[str]  # classes that may be heard
    threshold: float  # probability from which a class is heard
    scenes: list[tuple[float, float, str]]  # start and end in seconds, and the class's name or `silence`
    familiarity: np.ndarray | None = None  # (frames,) similarity to the training photos in [-1, 1]
    min_familiarity: float | None = None  # familiarity from which a class is heard; None if it is not measured
    activity: Activity | None = None  # sudden changes over time; None if they were not measured
    settings: dict[str, str] = field(default_factory=dict)  # values in words
    checkpoints: dict[str, tuple[str, str]] = field(default_factory=dict)  # model: path, fingerprint of the weights
    loudness: dict[str, str] = field(default_factory=dict)  # values in words
    seconds_per_stage: dict[str, float] = field(default_factory=dict)

    def colours(self) -> dict[str, str]:
        """Chooses up to eight classes, first those of scenes, then the likeliest; returns their colours in CSS."""
        heard = {name for _, _, name in self.scenes}
        peaks = dict(zip(self.classes, np.max(self.class_probabilities, axis=0), strict=True))
        drawn = sorted(self.classes, key=lambda name: (name in heard, peaks[name]), reverse=True)[:NUM_COLOURS]
        return {name: f"var(--c{number})" for number, name in enumerate(sorted(drawn, key=self.classes.index))}


def write_report(report: Report, path: Path) -> None:
    """Writes a page of less than about 15 MB; it is complete or absent.

    Pictures, curves and sounds are embedded. If the variants together last longer than 20 minutes, the players use the
    output files, which then must stay beside the page.

    Raises:
        FileNotFoundError, UnreadableSound: if a variant's sound cannot be read.
    """
    every = max(1, -(-len(report.frames) // NUM_FRAMES))
    activity = report.activity
    heights = [*activity.curve, *activity.strengths] if activity else []
    write_page(
        "report.html",
        path,
        report=report,
        colours=report.colours(),
        pictures=[frame_uri(frame) for _, frame in report.frames[::every]],
        is_embedded=report.duration_s * len(report.variants) <= LONGEST_EMBEDDED_S,
        probabilities=dict(zip(report.classes, report.class_probabilities.T, strict=True)),
        cuts_s=activity.cuts_s if activity else (),
        highest=max(heights, default=0) or 1.0,
    )
