"""Sound files as waveforms, and waveforms as sound files; `media.soundtrack.streams` is for long ones."""

from pathlib import Path

import av
import numpy as np
import soundfile
import torch
from torchaudio.functional import resample

from media.files import atomic_path

BEST_RESAMPLING = {  # librosa's `kaiser_best`: the pass band ends at 0.95 of the lower Nyquist frequency
    "lowpass_filter_width": 64,
    "rolloff": 0.9475937167399596,
    "resampling_method": "sinc_interp_kaiser",
    "beta": 14.769656459379492,
}


class UnreadableSound(ValueError):
    """A file that should hold a sound does not; the message names the file and the reason."""


def read_sound(path: Path, sample_rate_hz: int) -> np.ndarray:
    """The sound of a file, whatever its format, as the one kind of waveform that everything else works on.

    Sound files are read by soundfile; what it does not know, videos among it, is decoded by PyAV. Channels are
    averaged, never summed: a stereo file is as loud as its mono version. Silence in a sound file is a fine sound.

    A damaged file, or one that was cut short, is an error wherever its format tells (FLAC, MP4 and most others).
    Formats that do not tell, such as WAV and MP3, give the part that is there.

    Args:
        path: a sound file, or a video with a sound track.
        sample_rate_hz: the rate to resample to, once, from the file's own rate.

    Returns:
        float32 (num_samples,), in about [-1, 1]: lossy formats and resampling may pass 1 by a little.

    Raises:
        FileNotFoundError: where there is no such file.
        UnreadableSound: where the file holds no sound, an empty, a damaged or a non-finite one.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not a file; expected a sound file or a video.")
    try:
        sound = soundfile.SoundFile(path)
    except (soundfile.LibsndfileError, TypeError):  # TypeError: a .raw file, which has no header
        samples, file_rate_hz = _read_with_pyav(path)
    else:
        samples, file_rate_hz = _read_with_soundfile(path, sound)
    if not samples.size:
        raise UnreadableSound(f"{path} holds a sound of zero samples.")
    return resampled(check_finite(path, samples), file_rate_hz, sample_rate_hz)


def write_wav(path: Path, waveform: np.ndarray, sample_rate_hz: int) -> None:
    """Writes a mono, 16-bit PCM WAV file that appears complete or not at all.

    Args:
        path: the file to write or to replace; its folder is made where it is missing.
        waveform: (num_samples,), in [-1, 1].
        sample_rate_hz: samples a second.

    Raises:
        ValueError: where `check_waveform` refuses the waveform.
    """
    check_waveform(waveform)
    with atomic_path(path) as temporary:
        soundfile.write(temporary, waveform, sample_rate_hz, subtype="PCM_16", format="WAV")


def check_waveform(waveform: np.ndarray) -> None:
    """Refuses what a file would have to clip, guess or leave empty.

    Raises:
        ValueError: where the waveform is not (num_samples,), is empty, is not finite, or leaves [-1, 1].
    """
    if waveform.ndim != 1 or not waveform.size:
        raise ValueError(f"The waveform's shape is {waveform.shape}, expected (num_samples,) with at least one sample.")
    if not np.isfinite(waveform).all():
        raise ValueError("The waveform holds samples that are infinite or not a number.")
    peak = np.abs(waveform).max()
    if peak > 1:
        raise ValueError(f"The waveform's peak is {peak:.4g}, expected at most 1; divide the waveform by its peak.")


def check_finite(path: Path, samples: np.ndarray) -> np.ndarray:
    """The samples of a file, where all are numbers.

    Raises:
        UnreadableSound: where one is not.
    """
    if not np.isfinite(samples).all():
        raise UnreadableSound(f"{path} holds samples that are infinite or not a number.")
    return samples


def resampled(samples: np.ndarray, from_hz: int, to_hz: int) -> np.ndarray:
    """The waveform float32 (num_samples,) at another sample rate; the very same where the rates are equal."""
    if from_hz == to_hz:
        return samples
    return resample(torch.tensor(samples), from_hz, to_hz, **BEST_RESAMPLING).numpy()


def _read_with_soundfile(path: Path, sound: soundfile.SoundFile) -> tuple[np.ndarray, int]:
    with sound:
        try:
            samples = sound.read(dtype="float32", always_2d=True).mean(axis=1)
        except soundfile.LibsndfileError as error:
            raise UnreadableSound(f"{path} is damaged: {error}") from error
        if len(samples) < sound.frames and sound.format != "MP3":  # the length of an MP3 file is an estimate
            raise UnreadableSound(f"{path} is damaged: {len(samples)} of {sound.frames} samples are readable.")
        return samples, sound.samplerate


def _read_with_pyav(path: Path) -> tuple[np.ndarray, int]:
    pieces, rates_hz = [], set()
    try:
        with av.open(path, metadata_errors="replace") as container:
            if not container.streams.audio:
                raise UnreadableSound(f"{path} has no sound track.")
            to_float = av.AudioResampler(format="fltp")  # the channels stay: PyAV's own mono is √2 too loud
            for frame in container.decode(audio=0):
                for floats in to_float.resample(frame):
                    pieces.append(floats.to_ndarray().mean(axis=0))
                    rates_hz.add(floats.sample_rate)
    except av.FFmpegError as error:
        raise UnreadableSound(f"{path} is not a readable sound: {error.strerror}.") from error
    if len(rates_hz) > 1:
        raise UnreadableSound(f"{path} changes its sample rate midway: {sorted(rates_hz)} Hz.")
    if not pieces:
        raise UnreadableSound(f"{path} holds a sound of zero samples.")
    return np.concatenate(pieces), rates_hz.pop()
