"""Reading and writing of short sounds as waveforms; `media.soundtrack.streams` is for long ones."""

from pathlib import Path

import av
import numpy as np
import soundfile
import torch
import torchaudio

from media.files import atomic_path
from media.sound.frames import UnreadableSound, decode_frames, filter_frames, is_ambisonic

HIGHEST_PEAK = 10.0  # for float samples; higher ones are integers, or damaged
CANCELLED_SHARE = 0.1  # see `mix_to_mono`
BEST_RESAMPLING = {  # librosa's `kaiser_best`: the pass band ends at 0.95 of the lower Nyquist frequency
    "lowpass_filter_width": 64,
    "rolloff": 0.9475937167399596,
    "resampling_method": "sinc_interp_kaiser",
    "beta": 14.769656459379492,
}


def read_sound(path: Path, sample_rate_hz: int) -> np.ndarray:
    """Reads the sound of a file of any format, mono and at the given rate.

    soundfile reads sound files, and PyAV all others, such as videos. Channels are averaged (see `mix_to_mono`), so that
    stereo is as loud as mono. A damaged or incomplete file is an error if its format shows it, as FLAC, MP4 and most
    others do; of others, such as WAV and MP3, the existing part is read.

    Args:
        path: sound file, or video with a sound track.
        sample_rate_hz: rate to resample to.

    Returns:
        float32 (num_samples,), in about [-1, 1]: lossy formats and resampling may slightly exceed 1.

    Raises:
        FileNotFoundError: if there is no such file.
        UnreadableSound: if the sound is missing, empty or damaged, or has samples that are not finite or too high.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not a file; expected a sound file or a video.")
    try:
        sound = soundfile.SoundFile(path)
    except (soundfile.LibsndfileError, TypeError):  # TypeError: a .raw file, which has no header
        sound = None
    if sound is None or _is_unfinished(path, sound):
        channels, file_rate_hz = _read_with_pyav(path)
    else:
        channels, file_rate_hz = _read_with_soundfile(path, sound)
    if not channels.size:
        raise UnreadableSound(f"{path} holds a sound of zero samples.")
    peak = np.abs(check_finite(path, channels)).max()
    if peak > HIGHEST_PEAK:
        raise UnreadableSound(
            f"{path} holds samples up to {peak:.5g}, expected -1 to 1; are they integers? Divide by the full scale."
        )
    return resample(mix_to_mono(channels), file_rate_hz, sample_rate_hz)


def mix_to_mono(channels: np.ndarray) -> np.ndarray:
    """Averages channels (num_samples, num_channels), or returns the loudest one if they cancel each other.

    They cancel if their mean has less than a tenth of the power of the mean of uncorrelated channels.
    """
    mean, power = channels.mean(axis=1), np.square(channels).mean(axis=0)
    if np.square(mean).mean() < CANCELLED_SHARE * power.mean() / len(power):
        return channels[:, power.argmax()]
    return mean


def write_wav(path: Path, waveform: np.ndarray, sample_rate_hz: int) -> None:
    """Writes a mono, 16-bit PCM WAV file, which is complete or absent.

    Args:
        path: file to write or to replace; a missing folder is made.
        waveform: (num_samples,), in [-1, 1].
        sample_rate_hz: sample rate of the waveform.

    Raises:
        ValueError: if `check_waveform` refuses the waveform.
    """
    check_waveform(waveform)
    with atomic_path(path) as temporary:
        soundfile.write(temporary, waveform, sample_rate_hz, subtype="PCM_16", format="WAV")


def check_waveform(waveform: np.ndarray) -> None:
    """Checks that a file can hold a waveform without clipping.

    Raises:
        ValueError: if the waveform is not (num_samples,), is empty, is not finite, or leaves [-1, 1].
    """
    if waveform.ndim != 1 or not waveform.size:
        raise ValueError(f"The waveform's shape is {waveform.shape}, expected (num_samples,) with at least one sample.")
    if not np.isfinite(waveform).all():
        raise ValueError("The waveform holds samples that are infinite or not a number.")
    peak = np.abs(waveform).max()
    if peak > 1:
        raise ValueError(f"The waveform's peak is {peak:.4g}, expected at most 1; divide the waveform by its peak.")


def check_finite(path: Path, samples: np.ndarray) -> np.ndarray:
    """Returns the samples of a file if all are finite.

    Raises:
        UnreadableSound: if one is not.
    """
    if not np.isfinite(samples).all():
        raise UnreadableSound(f"{path} holds samples that are infinite or not a number.")
    return samples


def resample(samples: np.ndarray, from_hz: int, to_hz: int) -> np.ndarray:
    """Resamples a waveform, float32 (..., num_samples); equal rates leave it unchanged."""
    if from_hz == to_hz:
        return samples
    return torchaudio.functional.resample(torch.tensor(samples), from_hz, to_hz, **BEST_RESAMPLING).numpy()


def _is_unfinished(path: Path, sound: soundfile.SoundFile) -> bool:
    """Whether the recording of a WAV file broke off before its header got the lengths of file and sound."""
    if sound.frames or sound.format != "WAV":
        return False
    with path.open("rb") as file:
        return int.from_bytes(file.read(8)[4:], "little") + 8 != path.stat().st_size


def _read_with_soundfile(path: Path, sound: soundfile.SoundFile) -> tuple[np.ndarray, int]:
    with sound:
        try:
            channels = sound.read(dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            raise UnreadableSound(f"{path} is damaged: {error}") from error
        is_estimate = sound.subtype.startswith("MPEG")  # of the length, also of MP3 in a WAV file
        if len(channels) < sound.frames and not is_estimate:
            raise UnreadableSound(f"{path} is damaged: {len(channels)} of {sound.frames} samples are readable.")
        return channels, sound.samplerate


def _read_with_pyav(path: Path) -> tuple[np.ndarray, int]:
    """Reads channels (num_samples, num_channels) and their rate; of ambisonic sound only the first channel."""
    pieces = []
    try:
        with av.open(path, metadata_errors="replace") as container:
            if not container.streams.audio:
                raise UnreadableSound(f"{path} has no sound track.")
            (track, *_), rate_hz = container.streams.audio, 0
            # PyAV reads any number of interleaved channels. FFmpeg's own downmix to mono is √2 too loud.
            interleaved = ("aformat", {"sample_fmts": "flt"})
            for frame in filter_frames(decode_frames(track, container.demux(track)), interleaved):
                channels = frame.to_ndarray().reshape(frame.samples, -1)
                pieces.append(channels[:, :1] if is_ambisonic(frame.layout) else channels)
                rate_hz = frame.sample_rate
    except av.FFmpegError as error:
        raise UnreadableSound(f"{path} is not a readable sound: {error.strerror}.") from error
    return np.concatenate(pieces or [np.zeros((0, 1), np.float32)]), rate_hz
