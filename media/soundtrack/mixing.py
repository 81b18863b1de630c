"""The sound of a video as it is heard in the end: generated and original sound, loudness, peaks and fades."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from media.sound.frames import as_frames, filter_frames
from media.sound.loudness import Loudness, measure_loudness, to_lufs
from media.soundtrack.mux import coded
from media.soundtrack.streams import pad_to, sound_blocks, track_blocks, track_channels
from media.video.video_files import probe_video

Original = Literal["replace", "keep", "duck"]
StemFormat = Literal["none", "wav", "flac"]
SAMPLE_RATES_HZ = (32_000, 44_100, 48_000, 96_000)
MAX_GAIN_DB = 30.0  # of the generated sound: what is quieter still is noise
MAX_ORIGINAL_GAIN_DB = 12.0  # of the original: the hiss of a quiet place stays quiet
MAX_LIMITING_DB = 12.0  # of a peak; beyond it barks become dull thuds
TOLERANCE_LU = 0.3
MARGIN_DB = 0.1
MAX_TRIALS = 12
LIMITER = {"level": 0, "latency": 1, "attack": 5, "release": 100}
LOWEST_LIMIT_DB = -24.0  # that FFmpeg's limiter knows
LEVEL_STEP_S = 0.01
HEARD_LU = -20.0  # from the loudness of the whole generated sound; what is above is heard
ATTACK_S, HOLD_S, RELEASE_S = 0.1, 0.3, 0.5


@dataclass(frozen=True)
class Mixing:
    """What becomes of the generated sound, and of the one that the video had.

    Args:
        original: the video's own sound is left out (`replace`), stays under the new one (`keep`), or stays and gives
            way where the new one is heard (`duck`). Both are first made as loud as `loudness_lufs`.
        duck_db: by how much it gives way. It sinks within 0.1 s before the new sound is heard, stays down through
            pauses of 0.3 s, and then rises again within 0.5 s.
        loudness_lufs: integrated loudness of the result, by EBU R 128; None leaves both sounds as loud as they are. A
            quiet sound is raised by at most 30 dB (an original one by 12 dB), and peaks are limited by at most 12 dB:
            where that does not suffice the result stays quieter.
        true_peak_dbtp: no peak, not even between samples and after the encoder, is higher.
        fade_s: fade in at the begin and fade out at the end of the whole.
        sample_rate_hz: of the result; the Opus sound of .webm files has always 48 kHz.
        bit_rate: of the encoded sound, in bits a second.
        stem: the file that keeps the generated sound, unmixed, beside the video.

    Raises:
        ValueError: where a value lies outside its range.
    """

    original: Original = "replace"
    duck_db: float = 12.0
    loudness_lufs: float | None = -16.0
    true_peak_dbtp: float = -1.0
    fade_s: float = 0.02
    sample_rate_hz: int = 48_000
    bit_rate: int = 128_000
    stem: StemFormat = "none"

    def __post_init__(self) -> None:
        for name, kinds in (("original", get_args(Original)), ("stem", get_args(StemFormat))):
            if getattr(self, name) not in kinds:
                raise ValueError(f"{name} is {getattr(self, name)!r}, expected one of {', '.join(kinds)}.")
        if self.sample_rate_hz not in SAMPLE_RATES_HZ:
            raise ValueError(f"sample_rate_hz is {self.sample_rate_hz}, expected one of {SAMPLE_RATES_HZ}.")
        ranges = {
            "duck_db": (0, 60),
            "loudness_lufs": (-40, -5),
            "true_peak_dbtp": (-12, 0),
            "fade_s": (0, 60),
            "bit_rate": (64_000, 256_000),
        }
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            if not (value is None and name == "loudness_lufs") and not low <= value <= high:
                or_none = ", or none" if name == "loudness_lufs" else ""
                raise ValueError(f"{name} is {value}, expected {low} to {high}{or_none}.")


@dataclass(frozen=True)
class Levels:
    """What the mixing found and what it made of it.

    Attributes:
        stem: the generated sound as it came.
        original: the video's own sound as it came; None where it is left out or there is none.
        mixed: the result, after the encoder.
        remark: why the result is quieter than wished; empty where it is not.
    """

    stem: Loudness
    original: Loudness | None
    mixed: Loudness
    remark: str


class Mix:
    """A generated sound made ready for a video, in blocks, so that it may be of any length.

    The files are read several times: once to measure them, then for each trial of how much the loudness and the peaks
    have to be corrected (mostly one or two), and each time that `blocks` is called.

    Args:
        stem: the generated sound, a mono sound file of any rate; it is cut or filled up with silence to `duration_s`.
        mixing: what to do.
        duration_s: of the picture.
        video: whose own sound is mixed in, where `mixing` wants it and there is one; it stays in time with the picture.
        output: the video that `mux_sound` will write; None for a sound file, whose encoding has no loss.

    Attributes:
        levels: loudness and peaks, before and after.
        num_channels: 1, or 2 where a stereo original is mixed in.

    Raises:
        UnreadableSound: where the stem, or a sound of the video that is wanted, is damaged.
    """

    def __init__(
        self, stem: Path, mixing: Mixing, duration_s: float, video: Path | None = None, output: Path | None = None
    ) -> None:
        self.stem, self.mixing, self.video, self.output = stem, mixing, video, output
        self.num_samples = max(1, round(duration_s * mixing.sample_rate_hz))
        num_track_channels = track_channels(video) if video and mixing.original != "replace" else 0
        self._has_original = num_track_channels > 0
        self._start_s = probe_video(video).start_s if self._has_original else 0.0
        self.num_channels = max(1, num_track_channels)
        energies: list[np.ndarray] = []
        stem_level = self._measured(_metered(self._stem_blocks(), energies, mixing.sample_rate_hz))
        original_level = self._measured(self._original_blocks()) if self._has_original else None
        self._stem_gain_db = self._to_target_db(stem_level, MAX_GAIN_DB)
        self._original_gain_db = self._to_target_db(original_level, MAX_ORIGINAL_GAIN_DB)
        self._ducked = _ducked(to_lufs(np.concatenate(energies)) > stem_level.integrated_lufs + HEARD_LU)
        sources = [(stem_level, self._stem_gain_db), (original_level, self._original_gain_db)]
        self._gain_db, self._limit_db = 0.0, mixing.true_peak_dbtp
        mixed, remark = self._settle([(level, gain_db) for level, gain_db in sources if level])
        self.levels = Levels(stem_level, original_level, mixed, remark)

    def blocks(self) -> Iterator[np.ndarray]:
        """The result, float32 (num_channels, samples) in [-1, 1], in blocks of about a second."""
        rate_hz = self.mixing.sample_rate_hz
        gain = np.float32(_ratio(self._gain_db))
        frames = as_frames((gain * block for block in self._summed()), rate_hz)
        limiter = ("alimiter", LIMITER | {"limit": f"{_ratio(self._limit_db):.6f}"})
        to_blocks = ("aformat", {"sample_fmts": "fltp"}), ("asetnsamples", {"n": rate_hz, "p": 0})
        for frame in filter_frames(frames, limiter, *to_blocks):
            yield frame.to_ndarray()

    def _settle(self, sources: list[tuple[Loudness, float]]) -> tuple[Loudness, str]:
        """Finds the gain and the limit with which the encoded sound is as loud as wished and peaks below the bound."""
        wish_lufs, bound_dbtp = self.mixing.loudness_lufs, self.mixing.true_peak_dbtp
        reachable_lufs = max(level.integrated_lufs + gain_db for level, gain_db in sources)
        target_lufs = -math.inf if wish_lufs is None else min(wish_lufs, reachable_lufs)
        max_gain_db = 0.0
        if math.isfinite(target_lufs):
            highest_dbtp = max(level.true_peak_dbtp + gain_db for level, gain_db in sources)
            max_gain_db = bound_dbtp + MAX_LIMITING_DB - highest_dbtp
            self._gain_db = min(0.0, max_gain_db)
        for trial in range(MAX_TRIALS):
            gain_db, limit_db = self._gain_db, self._limit_db
            mixed = self._measured(self._heard())
            is_measurable = math.isfinite(target_lufs) and math.isfinite(mixed.integrated_lufs)
            missing_lu = target_lufs - mixed.integrated_lufs if is_measurable else 0.0
            if abs(missing_lu) > TOLERANCE_LU and trial < MAX_TRIALS // 2:  # then only the peaks are minded
                self._gain_db = min(max_gain_db, gain_db + missing_lu)
            if (excess_db := mixed.true_peak_dbtp - bound_dbtp) > 0:
                self._limit_db = max(LOWEST_LIMIT_DB, limit_db - excess_db - MARGIN_DB)
            if (gain_db, limit_db) == (self._gain_db, self._limit_db):
                break
        self._gain_db, self._limit_db = gain_db, limit_db  # those that were measured
        found_lufs = mixed.integrated_lufs
        if wish_lufs is None or not math.isfinite(reachable_lufs) or found_lufs >= wish_lufs - 1:
            return mixed, ""
        is_quiet = reachable_lufs < wish_lufs - TOLERANCE_LU
        reason = "the sound is too quiet to be raised further" if is_quiet else f"its peaks reach {bound_dbtp:g} dBTP"
        return mixed, f"{found_lufs:.1f} LUFS instead of {wish_lufs:g}: {reason}"

    def _heard(self) -> Iterator[np.ndarray]:
        if self.output is None:
            return self.blocks()
        return coded(self.video, self.blocks(), self.mixing.sample_rate_hz, self.output, self.mixing.bit_rate)

    def _summed(self) -> Iterator[np.ndarray]:
        rate_hz = self.mixing.sample_rate_hz
        # A mono sound on both loudspeakers is 3 dB louder than on one.
        stem_gain = _ratio(self._stem_gain_db) / math.sqrt(self.num_channels)
        originals = self._original_blocks() if self._has_original else repeat(None)
        for second, (stem, original) in enumerate(zip(self._stem_blocks(), originals, strict=False)):
            samples = second * rate_hz + np.arange(stem.shape[1])
            mixed = np.repeat(stem_gain * stem, self.num_channels, axis=0)
            if original is not None:
                gain_db = self._original_gain_db
                if self.mixing.original == "duck":
                    steps = samples / (LEVEL_STEP_S * rate_hz) - 0.5
                    gain_db = gain_db - self.mixing.duck_db * np.interp(
                        steps, np.arange(len(self._ducked)), self._ducked
                    )
                mixed += original * _ratio(gain_db)
            yield mixed * self._fade(samples)

    def _fade(self, samples: np.ndarray) -> np.ndarray:
        """Gains at these samples, which rise and fall as half a cosine."""
        length = min(self.mixing.fade_s * self.mixing.sample_rate_hz, self.num_samples / 2)
        to_edge = np.minimum(samples, self.num_samples - 1 - samples)
        return np.sin(np.pi / 2 * np.minimum(1, (to_edge + 0.5) / max(length, 0.5))) ** 2

    def _stem_blocks(self) -> Iterator[np.ndarray]:
        rate_hz = self.mixing.sample_rate_hz
        return pad_to(sound_blocks(self.stem, rate_hz), self.num_samples, rate_hz, 1)

    def _original_blocks(self) -> Iterator[np.ndarray]:
        rate_hz = self.mixing.sample_rate_hz
        blocks = track_blocks(self.video, self._start_s, rate_hz)
        return pad_to(blocks, self.num_samples, rate_hz, self.num_channels)

    def _measured(self, blocks: Iterable[np.ndarray]) -> Loudness:
        return measure_loudness(blocks, self.mixing.sample_rate_hz)

    def _to_target_db(self, level: Loudness | None, max_gain_db: float) -> float:
        if level is None or self.mixing.loudness_lufs is None or not math.isfinite(level.integrated_lufs):
            return 0.0
        return min(max_gain_db, self.mixing.loudness_lufs - level.integrated_lufs)


def _ratio(gain_db: float | np.ndarray) -> float | np.ndarray:
    return 10 ** (gain_db / 20)


def _metered(blocks: Iterable[np.ndarray], energies: list[np.ndarray], sample_rate_hz: int) -> Iterator[np.ndarray]:
    """The mono blocks themselves; the mean square of each LEVEL_STEP_S goes into `energies`."""
    step_samples = round(LEVEL_STEP_S * sample_rate_hz)
    for block in blocks:
        squares = np.pad(np.square(block[0]), (0, -block.shape[1] % step_samples))
        energies.append(squares.reshape(-1, step_samples).mean(axis=1))
        yield block


def _ducked(is_heard: np.ndarray) -> np.ndarray:
    """(steps,), how far the original gives way in each: from 0, not at all, to 1."""
    steps = np.arange(len(is_heard))
    since_s = LEVEL_STEP_S * (steps - np.maximum.accumulate(np.where(is_heard, steps, -math.inf)))
    until_s = LEVEL_STEP_S * (np.minimum.accumulate(np.where(is_heard, steps, math.inf)[::-1])[::-1] - steps)
    return np.clip(np.maximum(1 - (since_s - HOLD_S) / RELEASE_S, 1 - until_s / ATTACK_S), 0, 1)
