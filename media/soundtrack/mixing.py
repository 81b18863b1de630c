"""The final mix of a video: generated and original sound, loudness, peaks and fades."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path

import numpy as np

from media.known import known
from media.sound.frames import as_frames, filter_frames
from media.sound.loudness import Loudness, measure_loudness, to_lufs
from media.soundtrack.mix_options import Mixing, MixSettings
from media.soundtrack.mux import encode_and_decode
from media.soundtrack.streams import count_track_channels, pad_to, read_blocks, read_track
from media.video.video_files import probe_video

LOWEST_LIMIT_DB = -24.0  # the bound of FFmpeg's limiter
DEFAULTS = MixSettings()


@dataclass(frozen=True)
class Levels:
    """Loudness before and after the mixing."""

    stem: Loudness  # of the generated sound
    original: Loudness | None  # of the video's own sound; None if it is left out or absent
    mixed: Loudness  # of the result, after the encoder
    remark: str  # reason why the result is quieter than wished, or ""


class Mix:
    """A generated sound mixed for a video, in blocks, so that it may be of any length.

    The files are read several times: to measure them, for each correction of loudness and peaks (mostly one or two),
    and for each call of `blocks`.

    Args:
        stem: generated sound, a mono sound file of any rate; it is cut or padded with silence to `duration_s`.
        mixing: the user's choice.
        duration_s: length of the picture.
        video: file whose own sound is mixed in, in time with its picture, if `mixing` asks for it.
        output: video that `mux_sound` will write; None for a sound file, whose encoding is lossless.
        settings: tuned numbers.

    Attributes:
        levels: loudness and peaks, before and after.
        num_channels: 1, or 2 if a stereo original is mixed in.

    Raises:
        UnreadableSound: if the stem, or the video's own sound if it is mixed in, is damaged.
    """

    def __init__(
        self,
        stem: Path,
        mixing: Mixing,
        duration_s: float,
        video: Path | None = None,
        output: Path | None = None,
        settings: MixSettings = DEFAULTS,
    ) -> None:
        self.stem, self.mixing, self.video, self.output, self.settings = stem, mixing, video, output, settings
        self.num_samples = max(1, round(duration_s * mixing.sample_rate_hz))
        num_track_channels = count_track_channels(video) if video and mixing.original != "replace" else 0
        self._has_original = num_track_channels > 0
        self._start_s = probe_video(video).start_s if video and self._has_original else 0.0
        self.num_channels = max(1, num_track_channels)
        energies: list[np.ndarray] = []
        step_samples = round(settings.level_step_s * mixing.sample_rate_hz)
        stem_level = self._measure(_meter(self._read_stem(), energies, step_samples))
        original_level = self._measure(self._read_original()) if self._has_original else None
        self._stem_gain_db = self._to_target_db(stem_level, settings.max_gain_db)
        self._original_gain_db = self._to_target_db(original_level, settings.max_original_gain_db)
        is_heard = to_lufs(np.concatenate(energies)) > stem_level.integrated_lufs + settings.heard_lu
        self._ducking = _plan_ducking(is_heard, settings)
        sources = [(stem_level, self._stem_gain_db), (original_level, self._original_gain_db)]
        self._gain_db, self._limit_db = 0.0, mixing.true_peak_dbtp
        mixed, remark = self._settle([(level, gain_db) for level, gain_db in sources if level])
        self.levels = Levels(stem_level, original_level, mixed, remark)

    def blocks(self) -> Iterator[np.ndarray]:
        """Yields the result, float32 (num_channels, samples) in [-1, 1], in blocks of about a second."""
        rate_hz, settings = self.mixing.sample_rate_hz, self.settings
        gain = np.float32(_ratio(self._gain_db))
        frames = as_frames((gain * block for block in self._sum_sources()), rate_hz)
        times_ms = {"attack": settings.limiter_attack_ms, "release": settings.limiter_release_ms}
        limiter = ("alimiter", {"level": 0, "latency": 1, "limit": f"{_ratio(self._limit_db):.6f}", **times_ms})
        to_blocks = ("aformat", {"sample_fmts": "fltp"}), ("asetnsamples", {"n": rate_hz, "p": 0})
        for frame in filter_frames(frames, limiter, *to_blocks):
            yield frame.to_ndarray()

    def _settle(self, sources: list[tuple[Loudness, float]]) -> tuple[Loudness, str]:
        """Finds the gain and limit that make the encoded sound as loud as wished, with no peak above the bound."""
        wish_lufs, bound_dbtp = self.mixing.loudness_lufs, self.mixing.true_peak_dbtp
        reachable_lufs = max(level.integrated_lufs + gain_db for level, gain_db in sources)
        target_lufs = -math.inf if wish_lufs is None else min(wish_lufs, reachable_lufs)
        max_gain_db = 0.0
        if math.isfinite(target_lufs):
            highest_dbtp = max(level.true_peak_dbtp + gain_db for level, gain_db in sources)
            max_gain_db = bound_dbtp + self.settings.max_limiting_db - highest_dbtp
            self._gain_db = min(0.0, max_gain_db)
        for trial in range(self.settings.max_trials):
            gain_db, limit_db = self._gain_db, self._limit_db
            mixed = self._measure(self._encode())
            is_measurable = math.isfinite(target_lufs) and math.isfinite(mixed.integrated_lufs)
            missing_lu = target_lufs - mixed.integrated_lufs if is_measurable else 0.0
            is_early = trial < self.settings.max_trials // 2  # later trials only lower the peaks
            if abs(missing_lu) > self.settings.tolerance_lu and is_early:
                self._gain_db = min(max_gain_db, gain_db + missing_lu)
            if (excess_db := mixed.true_peak_dbtp - bound_dbtp) > 0:
                self._limit_db = max(LOWEST_LIMIT_DB, limit_db - excess_db - self.settings.margin_db)
            if (gain_db, limit_db) == (self._gain_db, self._limit_db):
                break
        self._gain_db, self._limit_db = gain_db, limit_db  # the measured ones
        found_lufs = mixed.integrated_lufs
        if wish_lufs is None or not math.isfinite(reachable_lufs) or found_lufs >= wish_lufs - 1:
            return mixed, ""
        is_quiet = reachable_lufs < wish_lufs - self.settings.tolerance_lu
        reason = "the sound is too quiet to be raised further" if is_quiet else f"its peaks reach {bound_dbtp:g} dBTP"
        return mixed, f"{found_lufs:.1f} LUFS instead of {wish_lufs:g}: {reason}"

    def _encode(self) -> Iterator[np.ndarray]:
        if self.output is None or self.video is None:
            return self.blocks()
        rate_hz, bit_rate = self.mixing.sample_rate_hz, self.mixing.bit_rate
        return encode_and_decode(self.video, self.blocks(), rate_hz, self.output, bit_rate)

    def _sum_sources(self) -> Iterator[np.ndarray]:
        rate_hz = self.mixing.sample_rate_hz
        stem_gain = _ratio(self._stem_gain_db) / math.sqrt(self.num_channels)  # two loudspeakers are 3 dB louder
        originals = self._read_original() if self._has_original else repeat(None)
        for second, (stem, original) in enumerate(zip(self._read_stem(), originals, strict=False)):
            samples = second * rate_hz + np.arange(stem.shape[1])
            mixed = np.repeat(stem_gain * stem, self.num_channels, axis=0)
            if original is not None:
                gain_db = self._original_gain_db
                if self.mixing.original == "duck":
                    steps = samples / (self.settings.level_step_s * rate_hz) - 0.5
                    share = np.interp(steps, np.arange(len(self._ducking)), self._ducking)
                    gain_db = gain_db - self.mixing.duck_db * share
                mixed += original * _ratio(gain_db)
            yield mixed * self._fade(samples)

    def _fade(self, samples: np.ndarray) -> np.ndarray:
        """Computes gains at these samples, which rise and fall as half a cosine."""
        length = min(self.mixing.fade_s * self.mixing.sample_rate_hz, self.num_samples / 2)
        to_edge = np.minimum(samples, self.num_samples - 1 - samples)
        return np.sin(np.pi / 2 * np.minimum(1, (to_edge + 0.5) / max(length, 0.5))) ** 2

    def _read_stem(self) -> Iterator[np.ndarray]:
        rate_hz = self.mixing.sample_rate_hz
        return pad_to(read_blocks(self.stem, rate_hz), self.num_samples, rate_hz, 1)

    def _read_original(self) -> Iterator[np.ndarray]:
        rate_hz = self.mixing.sample_rate_hz
        blocks = read_track(known(self.video), self._start_s, rate_hz)
        return pad_to(blocks, self.num_samples, rate_hz, self.num_channels)

    def _measure(self, blocks: Iterable[np.ndarray]) -> Loudness:
        return measure_loudness(blocks, self.mixing.sample_rate_hz)

    def _to_target_db(self, level: Loudness | None, max_gain_db: float) -> float:
        if level is None or self.mixing.loudness_lufs is None or not math.isfinite(level.integrated_lufs):
            return 0.0
        return min(max_gain_db, self.mixing.loudness_lufs - level.integrated_lufs)


def _ratio(gain_db: float | np.ndarray) -> float | np.ndarray:
    return 10 ** (gain_db / 20)


def _meter(blocks: Iterable[np.ndarray], energies: list[np.ndarray], step_samples: int) -> Iterator[np.ndarray]:
    """Yields mono blocks unchanged and appends the mean square of each step to `energies`."""
    for block in blocks:
        squares = np.pad(np.square(block[0]), (0, -block.shape[1] % step_samples))
        energies.append(squares.reshape(-1, step_samples).mean(axis=1))
        yield block


def _plan_ducking(is_heard: np.ndarray, settings: MixSettings) -> np.ndarray:
    """Computes the ducking of the original in each step (steps,), from 0 to 1."""
    steps = np.arange(len(is_heard))
    since_s = settings.level_step_s * (steps - np.maximum.accumulate(np.where(is_heard, steps, -math.inf)))
    until_s = settings.level_step_s * (np.minimum.accumulate(np.where(is_heard, steps, math.inf)[::-1])[::-1] - steps)
    rest_of_release, attack = 1 - (since_s - settings.hold_s) / settings.release_s, 1 - until_s / settings.attack_s
    return np.clip(np.maximum(rest_of_release, attack), 0, 1)
