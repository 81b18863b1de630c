"""What a report shows of one input."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from media.video.activity import Activity

NUM_COLOURS = 8


@dataclass(frozen=True)
class ReportVariant:
    """One of the sounds that were made for an input.

    Args:
        seed: that it was drawn from.
        output: the file that was written with it, relative to the report's folder.
        sound: a sound file to embed, as it is heard in the output; read while the report is written.
        spectrogram: (bins, columns) in [-1, 1], from time 0 to the end.
        highest_hz: frequency of the spectrogram's last bin.
        events: start and end in seconds of every event that was placed; none where the sound runs on.
    """

    seed: int
    output: Path
    sound: Path
    spectrogram: np.ndarray
    highest_hz: float
    events: list[tuple[float, float]] = field(default_factory=list)


@dataclass(frozen=True)
class Report:
    """All that the page shows. What an input does not have stays empty, and its section is left out.

    Args:
        path: of the input; its name is the title.
        facts: size, length, frame rate and the like, in words.
        variants: at least one.
        frames: (time in seconds, uint8 (height, width, 3)), evenly spaced over the video; of a photo the photo.
        duration_s: of the sound.
        is_photo: whether the input has no time of its own.
        class_times_s: (frames,) in rising order.
        class_probabilities: (frames, classes) in [0, 1].
        classes: their names.
        allowed: names of the classes that may sound.
        threshold: a class must reach it to sound.
        scenes: start and end in seconds, and the class's name or `silence`.
        activity: None where it was not measured.
        settings: name and value, in words.
        checkpoints: for each model the path of its checkpoint and a fingerprint of its weights.
        loudness: before and after, in words.
        seconds_per_stage: how long each step of the work took.
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
        """The classes that are drawn, those of the scenes and then the likeliest, each with its colour in CSS."""
        heard = {name for _, _, name in self.scenes}
        peaks = dict(zip(self.classes, np.max(self.class_probabilities, axis=0), strict=True))
        drawn = sorted(self.classes, key=lambda name: (name in heard, peaks[name]), reverse=True)[:NUM_COLOURS]
        return {name: f"var(--c{number})" for number, name in enumerate(sorted(drawn, key=self.classes.index))}
