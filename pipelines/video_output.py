"""The result for a video or a photo, and its files."""

import shutil
import tempfile
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from media.pictures import draw_film, write_png
from media.report import Report, ReportVariant, write_report
from media.sound.geometry import Geometry
from media.sound.spectrogram import spectrogram_of_file
from media.soundtrack.containers import plan_output
from media.soundtrack.mixing import Levels, Mix, Mixing
from media.soundtrack.mux import mux_sound
from media.soundtrack.streams import write_sound, write_stem
from media.video.encoding import encode_picture
from media.video.photo_files import count_pictures
from media.video.video_files import VideoInfo, probe_video
from pipelines.perception import Perception

NUM_FRAMES_SHOWN = 8


@dataclass(frozen=True)
class VariantSound:
    """One generated sound.

    Attributes:
        seed: seed that it was drawn from.
        stem: mono WAV file as long as the picture, before mixing.
        events_s: start and end in seconds of each placed event.
    """

    seed: int
    stem: Path
    events_s: list[tuple[float, float]]


class TemporaryFolder:
    """A folder that is removed with the last reference to this object."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="video2audio-"))
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


@dataclass  # not frozen: Lightning moves predictions to the CPU field by field
class VideoPrediction:
    """A video or a photo, and the sounds for it.

    Attributes:
        path: path of the input, which is never changed.
        name: name of the outputs, without suffix.
        scenes: start and end in seconds, and the name of the class or `silence`.
        checkpoints: path and fingerprint of each model.
        seconds: seconds of each stage so far.
        folder: folder of the stems.
    """

    path: Path
    name: str
    duration_s: float
    is_photo: bool
    variants: list[VariantSound]
    scenes: list[tuple[float, float, str]]
    perception: Perception
    classes: list[str]
    geometry: Geometry
    mixing: Mixing
    settings: dict[str, Any]
    checkpoints: dict[str, tuple[str, str]]
    seconds: dict[str, float]
    folder: TemporaryFolder

    def save(self, folder: Path) -> dict[str, Any]:
        """Writes a report, and for each variant the video with its sound, a picture and, if the mixing asks, a stem.

        The output for a photo is a WAV file. A picture whose packets cannot be copied is encoded again, with a remark.

        Raises:
            OSError, ValueError: if an output cannot be written.
        """
        folder.mkdir(parents=True, exist_ok=True)
        suffix, reason = (".wav", "") if self.is_photo else plan_output(self.path)
        picture = self.folder.path / "picture.mp4" if reason else self.path
        if reason:
            encode_picture(self.path, picture)
        shown: list[ReportVariant] = []
        loudness: dict[str, str] = {}
        for number, variant in enumerate(self.variants, start=1):
            output = folder / f"{self.name}{f'_v{number}' if number > 1 else ''}{suffix}"
            with timed(self.seconds, "mix and write"):
                levels = self._write_sound(variant, picture, output)
            if self.mixing.stem != "none":
                stem = output.with_name(f"{output.stem}_stem.{self.mixing.stem}")
                write_stem(variant.stem, stem, comment=f"seed={variant.seed}")
            with timed(self.seconds, "draw"):
                spectrogram = spectrogram_of_file(variant.stem, self.geometry)
                frames = [frame for _, frame in self.perception.film]
                every = max(1, len(frames) // NUM_FRAMES_SHOWN)
                film = draw_film(frames[::every], spectrogram, self.scenes, self.geometry.sample_rate_hz)
                write_png(output.with_name(f"{output.stem}_spectrogram.png"), film)
            loudness |= {f"seed {variant.seed}: {name}": value for name, value in _describe(levels).items()}
            highest_hz = self.geometry.sample_rate_hz / 2
            made = ReportVariant(variant.seed, Path(output.name), output, spectrogram, highest_hz, variant.events_s)
            shown.append(made)
        info = None if self.is_photo else probe_video(self.path)
        write_report(self._report(shown, loudness, info), folder / f"{self.name}.html")
        return {
            "output": str(folder / shown[0].output),
            "remark": "; ".join(self._remarks(info, reason)),
            "scenes": ", ".join(f"{start:.1f}-{end:.1f} s {label}" for start, end, label in self.scenes),
        }

    def _remarks(self, info: VideoInfo | None, reason: str) -> list[str]:
        remarks = [f"encoded again, as it {reason}"] if reason else []
        if info and info.missing_s:
            remarks.append(f"{info.missing_s:.1f} s are missing at the end of it")
        if self.is_photo and (number := count_pictures(self.path)) > 1:
            remarks.append(f"the first of its {number} pictures is used")
        return remarks

    def _write_sound(self, variant: VariantSound, picture: Path, output: Path) -> Levels:
        rate, comment = self.mixing.sample_rate_hz, f"seed={variant.seed}"
        mix = Mix(variant.stem, self.mixing, self.duration_s, *(() if self.is_photo else (self.path, output)))
        if self.is_photo:
            write_sound(output, mix.blocks(), rate, comment=comment)
        else:
            mux_sound(picture, mix.blocks(), rate, output, {"comment": comment}, self.mixing.bit_rate)
        return mix.levels

    def _report(self, variants: list[ReportVariant], loudness: dict[str, str], info: VideoInfo | None) -> Report:
        facts = {"length": f"{self.duration_s:.2f} s"}
        if info:
            facts |= {
                "size": f"{info.width} × {info.height}",
                "frames per second": f"{info.frames_per_second:.4g}",
                "own sound": "yes" if info.has_sound else "none",
            }
            if info.missing_s:
                facts["missing at the end"] = f"{info.missing_s:.1f} s: the file breaks off"
        return Report(
            path=self.path,
            facts=facts,
            variants=variants,
            frames=self.perception.film,
            duration_s=self.duration_s,
            is_photo=self.is_photo,
            class_times_s=self.perception.times_s,
            class_probabilities=self.perception.probabilities,
            classes=self.classes,
            allowed=self.settings["classes"],
            threshold=self.settings["threshold"],
            familiarity=self.perception.familiarity,
            min_familiarity=self.settings["min_familiarity"],
            scenes=self.scenes,
            activity=self.perception.activity,
            settings=in_words(self.settings),
            checkpoints=self.checkpoints,
            loudness=loudness,
            seconds_per_stage=self.seconds,
        )


@contextmanager
def timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    """Adds the seconds inside the context to those of a stage."""
    started_at = time.perf_counter()
    yield
    seconds[stage] = seconds.get(stage, 0.0) + time.perf_counter() - started_at


def _describe(levels: Levels) -> dict[str, str]:
    sounds = {"generated": levels.stem, "own sound": levels.original, "result": levels.mixed}
    words = {
        name: f"{level.integrated_lufs:.1f} LUFS, true peak {level.true_peak_dbtp:.1f} dBTP"
        for name, level in sounds.items()
        if level is not None
    }
    return words | ({"remark": levels.remark} if levels.remark else {})


def in_words(settings: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested settings as one level of names and words, without the checkpoints."""
    words: dict[str, str] = {}
    for name, value in settings.items():
        if isinstance(value, dict):
            words |= in_words(value, f"{prefix}{name}.") if name != "checkpoints" else {}
        elif isinstance(value, list):
            words[prefix + name] = ", ".join(map(str, value))
        else:
            words[prefix + name] = "none" if value is None else str(value)
    return words
