"""Sounds of any length, in blocks (channels, samples) of float32: read, resampled, filtered and written."""

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
from media.video.video_files import packets


def write_sound(
    path: Path,
    blocks: Iterable[np.ndarray],
    sample_rate_hz: int,
    bits: Literal[16, 24] = 16,
    comment: str | None = None,
) -> None:
    """Writes a sound of any length as WAV or FLAC; the file appears complete or not at all.

    Args:
        path: the file to write or to replace, .wav or .flac.
        blocks: each float32 (channels, samples) in [-1, 1].
        sample_rate_hz: of the blocks.
        bits: of each stored sample.
        comment: a text to keep in the file.

    Raises:
        ValueError: if the suffix is another one, or `check_block` refuses a block, or there is none.
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
    """Keeps a generated sound for further work: the same samples in 24 bits, without any mixing.

    A stem that leaves [-1, 1] is divided by its peak.

    Args:
        stem: a mono WAV file of float32 samples.
        output: the .wav or .flac file to write or to replace.
        comment: a text to keep in the file, such as the seed.

    Raises:
        UnreadableSound: if the stem is damaged.
        OSError, ValueError: as `write_sound` does.
    """
    rate_hz = soundfile.info(stem).samplerate
    peak = max((float(np.abs(block).max()) for block in sound_blocks(stem, rate_hz)), default=0.0)
    scaled = (block / np.float32(max(1.0, peak)) for block in sound_blocks(stem, rate_hz))
    write_sound(output, scaled, rate_hz, bits=24, comment=comment)


def sound_blocks(path: Path, sample_rate_hz: int) -> Iterator[np.ndarray]:
    """A sound file of any length at another sample rate, in mono float32 blocks (1, samples) of a second.

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


def track_channels(video: Path) -> int:
    """The number of channels, 1 or 2, that `track_blocks` gives of a video's own sound; 0 if it has no sound track.

    Raises:
        UnreadableSound: if FFmpeg cannot open the file, or does not know the track's codec.
    """
    with _opened_track(video) as (_, track):
        return 0 if track is None else min(2, max(1, layout_of(track).nb_channels))


def track_blocks(video: Path, start_s: float, sample_rate_hz: int) -> Iterator[np.ndarray]:
    """A video's own sound from the first frame's time on, in blocks of a second; the default track, or else the first.

    The track's times are respected: if it starts late or pauses there is silence, and sound before the first frame is
    left out. Mono stays mono, and more than two channels are mixed down to stereo (see `downmix`). A last packet that
    the file's end cuts short is left out.

    Args:
        start_s: the file's own time of the first frame, as `VideoInfo` has it.
        sample_rate_hz: to resample to.

    Raises:
        UnreadableSound: if the track cannot be decoded, or changes its rate or channels midway.
    """
    with _opened_track(video) as (container, track):
        if track is None:
            return
        # Times jitter by some milliseconds in many files; only a larger gap is one.
        steady = {"sample_rate": sample_rate_hz, "async": 1, "first_pts": 0, "min_hard_comp": 0.02}
        for frame in filter_frames(
            _placed_frames(container, track, start_s),
            ("aresample", steady),
            downmix(layout_of(track)),
            ("aformat", {"sample_fmts": "fltp"}),
            ("asetnsamples", {"n": sample_rate_hz, "p": 0}),
        ):
            yield frame.to_ndarray()


def pad_to(
    blocks: Iterator[np.ndarray], num_samples: int, block_samples: int, num_channels: int
) -> Iterator[np.ndarray]:
    """Blocks of `block_samples`, save the last, cut or padded with silence to `num_samples` in all."""
    for start in range(0, num_samples, block_samples):
        length = min(block_samples, num_samples - start)
        block = next(blocks, np.zeros((num_channels, 0), np.float32))[:, :length]
        yield np.pad(block, ((0, 0), (0, length - block.shape[1])))


def check_block(block: np.ndarray, num_channels: int) -> None:
    """As `check_waveform`, for a block (channels, samples) of a longer sound, which may be empty.

    Raises:
        ValueError: if the number of channels is another one, or a sample is not finite or leaves [-1, 1].
    """
    if block.ndim != 2 or len(block) != num_channels:
        raise ValueError(f"A block of sound has the shape {block.shape}, expected ({num_channels}, num_samples).")
    if block.size:
        check_waveform(block.reshape(-1))


@contextmanager
def _opened_track(video: Path) -> Iterator[tuple[av.container.InputContainer, av.AudioStream | None]]:
    try:
        with av.open(video, metadata_errors="replace") as container:
            tracks = container.streams.audio
            marked = (track for track in tracks if track.disposition & av.stream.Disposition.default)
            yield container, next(marked, tracks[0] if tracks else None)
    except av.FFmpegError as error:
        raise UnreadableSound(
            f"{video} has a sound track of its own that cannot be decoded ({error.strerror}); replace it, or repair it."
        ) from error


def _placed_frames(
    container: av.container.InputContainer, track: av.AudioStream, start_s: float
) -> Iterator[av.AudioFrame]:
    """Decoded frames with times from the first picture on."""
    whole = (packet for packet in packets(container, track) if not packet.is_corrupt)  # the file ends within the others
    for frame in decode_frames(track, chain(whole, [None])):
        if frame.pts is not None:
            frame.pts -= round(start_s / known(frame.time_base))
        yield frame
