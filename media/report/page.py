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
    """One of the sounds for an input.

    Args:
        seed: seed of the sound.
        output: file with the sound, relative to the report's folder.
        sound: sound file to embed, as it is heard in the output.
        spectrogram: levels (bins, columns) in [-1, 1], from time 0 to the end.
        highest_hz: frequency of the spectrogram's last bin.
        events: start and end in seconds of each event; none if the sound has no gaps.
    """

    seed: int
    output: Path
    sound: Path
    spectrogram: np.ndarray
    highest_hz: float
    events: list[tuple[float, float]] = field(default_factory=list)


@dataclass(frozen=True)
class Report:
    """All contents of the page. A section without content is left out.

    Args:
        path: input file; its name is the title.
        facts: size, length, frame rate and the like, in words.
        variants: sounds of the input, at least one.
        frames: (time in seconds, uint8 (height, width, 3)), evenly spaced over the video; for a photo the photo.
        duration_s: length of the sound.
        is_photo: whether the input is a photo.
        class_times_s: times (frames,) of the probabilities, in rising order.
        class_probabilities: probabilities (frames, classes) in [0, 1].
        classes, allowed: names of all classes, and of those that may be heard.
        threshold: probability from which a class is heard.
        scenes: start and end in seconds, and the class's name or `silence`.
        activity: sudden changes over time; None if they were not measured.
        settings, loudness: values in words by their names.
        checkpoints: path of the checkpoint and fingerprint of the weights, for each model.
        seconds_per_stage: duration of each stage.
    """

    path: Path
    facts: dict[str, str]
    variants: list[ReportVariant]
    frames: list[tuple[float, np.ndarray]]
    duration_s: float
    is_photo: bool
    class_times_s: np.ndarray
    class_probabilities: np.ndarray
    classes: list[str]
    allowed: list[str]
    threshold: float
    scenes: list[tuple[float, float, str]]
    activity: Activity | None = None
    settings: dict[str, str] = field(default_factory=dict)
    checkpoints: dict[str, tuple[str, str]] = field(default_factory=dict)
    loudness: dict[str, str] = field(default_factory=dict)
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
