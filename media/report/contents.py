"""The contents of an input's report."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from media.video.activity import Activity

NUM_COLOURS = 8


@dataclass(frozen=True)
class ReportVariant:
    """One of the sounds that were made for an input.

    Args:
        seed: number that the sound was drawn from.
        output: file that was written with the sound, relative to the report's folder.
        sound: sound file to embed, as it is heard in the output; read while the report is written.
        spectrogram: levels (bins, columns) in [-1, 1], from time 0 to the end.
        highest_hz: frequency of the spectrogram's last bin.
        events: start and end in seconds of every event that was placed; none if the sound has no gaps.
    """

    seed: int
    output: Path
    sound: Path
    spectrogram: np.ndarray
    highest_hz: float
    events: list[tuple[float, float]] = field(default_factory=list)


@dataclass(frozen=True)
class Report:
    """All that the page shows. A section without content is left out.

    Args:
        path: input file; its name is the title.
        facts: size, length, frame rate and the like, in words.
        variants: sounds of the input, at least one.
        frames: (time in seconds, uint8 (height, width, 3)), evenly spaced over the video; for a photo the photo.
        duration_s: length of the sound.
        is_photo: whether the input has no time of its own.
        class_times_s: times (frames,) of the probabilities, in rising order.
        class_probabilities: probabilities (frames, classes) in [0, 1].
        classes: names of the classes.
        allowed: names of the classes that may sound.
        threshold: probability that a class must reach to sound.
        scenes: start and end in seconds, and the class's name or `silence`.
        activity: movement over time; None if it was not measured.
        settings: name and value, in words.
        checkpoints: path of the checkpoint and fingerprint of the weights, for each model.
        loudness: loudness before and after, in words.
        seconds_per_stage: duration of each step of the work.
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
        """Chooses the classes to draw, those of the scenes and then the likeliest, and gives each a colour in CSS."""
        heard = {name for _, _, name in self.scenes}
        peaks = dict(zip(self.classes, np.max(self.class_probabilities, axis=0), strict=True))
        drawn = sorted(self.classes, key=lambda name: (name in heard, peaks[name]), reverse=True)[:NUM_COLOURS]
        return {name: f"var(--c{number})" for number, name in enumerate(sorted(drawn, key=self.classes.index))}
