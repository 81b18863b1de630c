"""Options of the mix: the user's choice and the tuned numbers."""

from dataclasses import dataclass
from typing import Literal, get_args

Original = Literal["replace", "keep", "duck"]
StemFormat = Literal["none", "wav", "flac"]
SAMPLE_RATES_HZ = (32_000, 44_100, 48_000, 96_000)


@dataclass(frozen=True)
class Mixing:
    """How the generated sound is mixed with the video's own.

    Args:
        original: whether the video's own sound is left out (`replace`), stays under the new one (`keep`), or also gives
            way while the new one is heard (`duck`). Both are first brought to `loudness_lufs`.
        duck_db: attenuation by ducking. It starts 0.1 s before the new sound is heard, holds through pauses of 0.3 s,
            and ends within 0.5 s.
        loudness_lufs: integrated loudness of the result, by EBU R 128; None keeps the levels. A quiet sound is raised
            by at most 30 dB (an original one by 12 dB), and peaks are limited by at most 12 dB; the result may be
            quieter.
        true_peak_dbtp: highest peak, also between samples and after the encoder.
        fade_s: length of the fade in at the start and of the fade out at the end.
        sample_rate_hz: sample rate of the result; in .webm files always 48 kHz.
        bit_rate: bits a second of the encoded sound.
        stem: format of a file beside the video that keeps the generated sound, unmixed.

    Raises:
        ValueError: if a value is outside its range.
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
class MixSettings:
    """Tuned numbers of loudness and ducking; `Mixing` is for users."""

    max_gain_db: float = 30.0  # for the generated sound; a quieter one is noise
    max_original_gain_db: float = 12.0  # keeps the hiss of a quiet place quiet
    max_limiting_db: float = 12.0  # for a peak; more makes a bark a dull thud
    limiter_attack_ms: float = 5.0
    limiter_release_ms: float = 100.0
    tolerance_lu: float = 0.3
    margin_db: float = 0.1
    max_trials: int = 12
    level_step_s: float = 0.01
    heard_lu: float = -20.0  # level, relative to the whole generated sound, from which a moment is heard
    attack_s: float = 0.1
    hold_s: float = 0.3
    release_s: float = 0.5
