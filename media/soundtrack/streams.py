"""Reading and writing of sounds of any length, in float32 blocks (channels, samples)."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Literal

import av
import numpy as np
import soundfile

from media.files import atomic_path
from media.known import known
from media.sound.frames import UnreadableSound, as_frames, decode_frames, downmix, filter_frames, layout_of
from media.sound.sound_files import check_finite, check_waveform
from media.video.packets import read_packets


def write_sound(
    path: Path,
    blocks: Iterable[np.ndarray],
    sample_rate_hz: int,
    bits: Literal[16, 24] = 16,
    comment: str | None = None,
) -> None:
    """Writes a sound of any length as WAV or FLAC; the file is complete or absent.

    Args:
        path: file to write or to replace, .wav or .flac.
        blocks: float32 (channels, samples) in [-1, 1], at least one.
        sample_rate_hz: rate of the blocks.
        bits: bits of each stored sample.
        comment: text to keep in the file, such as the seed.

    Raises:
        ValueError: if the suffix is another one, there is no block, or `check_block` refuses one.
        OSError: if the file cannot be written, as when the disk is full.
    """
    path, blocks = Path(path), iter(blocks)
    if (format_name := path.suffix[1:].upper()) not in ("WAV", "FLAC"):
        raise ValueError(f"{path} cannot be written: expected the suffix .wav or .flac.")
    first = next(blocks, None)
    if first is None:
        raise ValueError(f"{path} cannot be written: there is not one block of sound.")
    with atomic_path(path) as temporary:
        try:
            with soundfile.SoundFile(
                temporary, "w", sample_rate_hz, len(first), subtype=f"PCM_{bits}", format=format_name
            ) as file:
                if comment:
                    file.comment = comment
                for block in chain([first], blocks):
                    check_block(block, len(first))
                    file.write(block.T)
        except (soundfile.LibsndfileError, AssertionError) as error:  # soundfile asserts that all samples were written
            raise OSError(f"{path} could not be written: {error or 'is the disk full?'}") from error


def write_stem(stem: Path, output: Path, comment: str | None = None) -> None:
    """Keeps a generated sound, unmixed, for further work: in 24 bits, divided by its peak if that is above 1.

    Args:
        stem: mono WAV file of float32 samples.
        output, comment: see `write_sound`.

    Raises:
        UnreadableSound: if the stem is damaged.
        OSError, ValueError: see `write_sound`.
    """
    rate_hz = soundfile.info(stem).samplerate
    peak = max((float(np.abs(block).max()) for block in read_blocks(stem, rate_hz)), default=0.0)
    scaled = (block / np.float32(max(1.0, peak)) for block in read_blocks(stem, rate_hz))
    write_sound(output, scaled, rate_hz, bits=24, comment=comment)


def read_blocks(path: Path, sample_rate_hz: int) -> Iterator[np.ndarray]:
    """Reads a sound file of any length at another sample rate, in mono float32 blocks (1, samples) of a second.

    Raises:
        UnreadableSound: if the file is damaged or holds a non-finite sample.
    """
    try:
        with soundfile.SoundFile(path) as file:
            blocks = (block.mean(axis=1) for block in file.blocks(file.samplerate, dtype="float32", always_2d=True))
            frames = as_frames((check_finite(path, block)[np.newaxis] for block in blocks), file.samplerate)
            to_rate = ("aresample", {"sample_rate": sample_rate_hz})
            for frame in filter_frames(frames, to_rate, ("asetnsamples", {"n": sample_rate_hz, "p": 0})):
                yield frame.to_ndarray()
    except soundfile.LibsndfileError as error:
        raise UnreadableSound(f"{path} is not a readable sound: {error}") from error


def count_track_channels(video: Path) -> int:
    """Counts the channels, 1 or 2, that `read_track` yields; 0 if the video has no sound track.

    Raises:
        UnreadableSound: if FFmpeg cannot open the file, or does not know the track's codec.
    """
    with _open_track(video) as (_, track):
        return 0 if track is None else min(2, max(1, layout_of(track).nb_channels))


def read_track(video: Path, start_s: float, sample_rate_hz: int) -> Iterator[np.ndarray]:
    """Reads a video's own sound from its first frame, in blocks of a second: the default track, or else the first.

    Gaps and a late start become silence; sound before the first frame and an incomplete last packet are left out. Mono
    stays mono, and more than two channels are mixed down to stereo (see `downmix`).

    Args:
        video: path of the video.
        start_s: time of the first frame on the file's own clock, see `VideoInfo`.
        sample_rate_hz: rate to resample to.

    Raises:
        UnreadableSound: if the track cannot be decoded, or changes its rate or channels midway.
    """
    with _open_track(video) as (container, track):
        if track is None:
            return
        # In many files times jitter by some milliseconds; only a larger gap is filled.
        on_time = {"sample_rate": sample_rate_hz, "async": 1, "first_pts": 0, "min_hard_comp": 0.02}
        for frame in filter_frames(
            _decode_track(container, track, start_s),
            ("aresample", on_time),
            downmix(layout_of(track)),
            ("aformat", {"sample_fmts": "fltp"}),
            ("asetnsamples", {"n": sample_rate_hz, "p": 0}),
        ):
            yield frame.to_ndarray()


def pad_to(
    blocks: Iterator[np.ndarray], num_samples: int, block_samples: int, num_channels: int
) -> Iterator[np.ndarray]:
    """Cuts blocks, or pads them with silence, to `num_samples` in all; `block_samples` in each but the last."""
    for start in range(0, num_samples, block_samples):
        length = min(block_samples, num_samples - start)
        block = next(blocks, np.zeros((num_channels, 0), np.float32))[:, :length]
        yield np.pad(block, ((0, 0), (0, length - block.shape[1])))


def check_block(block: np.ndarray, num_channels: int) -> None:
    """Checks a block (channels, samples) of a longer sound, which may be empty, as `check_waveform` does.

    Raises:
        ValueError: if the number of channels is another one, or a sample is not finite or leaves [-1, 1].
    """
    if block.ndim != 2 or len(block) != num_channels:
        raise ValueError(f"A block of sound has the shape {block.shape}, expected ({num_channels}, num_samples).")
    if block.size:
        check_waveform(block.reshape(-1))


@contextmanager
def _open_track(video: Path) -> Iterator[tuple[av.container.InputContainer, av.AudioStream | None]]:
    try:
        with av.open(video, metadata_errors="replace") as container:
            tracks = container.streams.audio
            marked = (track for track in tracks if track.disposition & av.stream.Disposition.default)
            yield container, next(marked, tracks[0] if tracks else None)
    except av.FFmpegError as error:
        raise UnreadableSound(
            f"{video} has a sound track of its own that cannot be decoded ({error.strerror}); replace it, or repair it."
        ) from error


def _decode_track(
    container: av.container.InputContainer, track: av.AudioStream, start_s: float
) -> Iterator[av.AudioFrame]:
    """Decodes frames, in times from the first picture."""
    whole = (
        packet for packet in read_packets(container, track) if not packet.is_corrupt
    )  # the file ends within the others
    for frame in decode_frames(track, chain(whole, [None])):
        if frame.pts is not None:
            frame.pts -= round(start_s / known(frame.time_base))
        yield frame
