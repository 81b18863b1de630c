"""A new sound track under an untouched picture."""

import heapq
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from media.sound_files import atomic_path, check_waveform, resampled
from media.video_files import UnreadableVideo, VideoInfo, opened_video, packet_time, probe_video

SOUND_RATE_HZ = 48_000  # the one rate that both AAC and Opus take
SOUND_BIT_RATE = 128_000
CONTAINERS = {  # suffix: FFmpeg's muxer, the sound's encoder
    ".mp4": ("mp4", "aac"),
    ".mov": ("mov", "aac"),
    ".mkv": ("matroska", "aac"),
    ".webm": ("webm", "libopus"),
}


def output_suffix(video: Path) -> str:
    """The suffix under which `mux_sound` can write this video: its own where possible, else .mp4, else .mkv.

    Raises:
        FileNotFoundError: where there is no such file.
        UnreadableVideo: where the file is no video.
    """
    video = Path(video)
    with opened_video(video) as (_, picture):
        for suffix in (video.suffix.lower(), ".mp4"):
            if suffix in CONTAINERS and _carries(suffix, picture):
                return suffix
    return ".mkv"


def mux_sound(
    video: Path, waveform: np.ndarray, sample_rate_hz: int, output: Path, metadata: dict[str, str] | None = None
) -> None:
    """Writes the video again with another sound: the picture is copied bit for bit, never encoded anew.

    The picture keeps its packets, their times, its rotation and its time base (MPEG streams, whose clock starts
    anywhere, are moved to time 0). The old sound is dropped. The new one starts with the first frame and is AAC
    (in .webm Opus), mono, 48 kHz; it is as long as the waveform, save that decoders may add, at the end of AAC,
    silence of less than one frame of 1024 samples = 21 ms. The output appears complete or not at all.

    Args:
        video: the video whose picture is copied; it is only read.
        waveform: (num_samples,), in [-1, 1].
        sample_rate_hz: of the waveform.
        output: the file to write or to replace, with a suffix as `output_suffix` gives it.
        metadata: tags to add to those of the video, such as {"comment": …}; the common ones are title, artist,
            comment, description, genre, date and copyright.

    Raises:
        FileNotFoundError: where there is no such video.
        UnreadableVideo: where the video is none, or is damaged.
        ValueError: where the waveform is refused by `check_waveform`, where the output is the video itself, where its
            suffix does not fit, or where its format cannot keep one of the tags.
    """
    video, output = Path(video), Path(output)
    check_waveform(waveform)
    info = probe_video(video)
    if output.exists() and os.path.samefile(video, output):
        raise ValueError(f"{output} is the video itself, expected another file to write to.")
    suffix = output.suffix.lower()
    with opened_video(video) as (container, picture):
        if suffix not in CONTAINERS or not _carries(suffix, picture):
            raise ValueError(
                f"{output} cannot be written: a {suffix or 'file without suffix'} does not carry the video's "
                f"{picture.codec_context.name} picture with a new sound; use the suffix {output_suffix(video)}."
            )
        if (
            container.format.name == "avi"
            and picture.codec_context.name == "h264"
            and picture.codec_context.has_b_frames
        ):
            raise UnreadableVideo(f"{video} does not say when its B-frames are shown; convert it to .mp4 first.")
        samples = resampled(np.asarray(waveform, dtype=np.float32), sample_rate_hz, SOUND_RATE_HZ)
        try:
            with atomic_path(output) as temporary:
                _write(temporary, container, picture, info, samples, metadata or {})
        except av.FFmpegError as error:
            raise ValueError(f"{video} could not be written as {output}: {error.strerror}.") from error


def _write(
    path: Path,
    container: av.container.InputContainer,
    picture: av.VideoStream,
    info: VideoInfo,
    samples: np.ndarray,
    metadata: dict[str, str],
) -> None:
    has_time_zero = container.format.name not in ("mpegts", "mpeg")
    if has_time_zero:
        # Before a late first frame goes silence: an edit list can name a late start or the encoder's delay, not both.
        samples = np.pad(samples, (max(0, round(info.start_s * SOUND_RATE_HZ)), 0))
    shift_ticks = 0 if has_time_zero else round(info.start_s / picture.time_base)
    usual_ticks = round(1 / (info.frames_per_second * picture.time_base))
    muxer, encoder = CONTAINERS[path.suffix.lower()]
    # Edit lists in the picture's own time base keep its times exact.
    options = {"movie_timescale": str(picture.time_base.denominator)}
    with av.open(path, "w", format=muxer, container_options=options) as written:
        written.metadata.update(container.metadata | metadata)
        picture_copy = written.add_stream_from_template(picture, opaque=True)
        picture_copy.time_base = picture.time_base
        picture_copy.metadata.update(picture.metadata)
        sound = written.add_stream(encoder, rate=SOUND_RATE_HZ, layout="mono", bit_rate=SOUND_BIT_RATE)
        written.start_encoding()
        copied = _copied(container, picture, picture_copy, shift_ticks, usual_ticks)
        for packet in heapq.merge(copied, _encoded(sound, samples), key=_order):
            written.mux(packet)
    with av.open(path) as container:
        kept = {key.lower() for key in container.metadata}
    if lost := sorted(key for key in metadata if key.lower() not in kept):
        raise ValueError(f"A {path.suffix} file cannot keep the tags {lost}; use common ones such as comment.")


def _carries(suffix: str, picture: av.VideoStream) -> bool:
    with av.open(os.devnull, "w", format=CONTAINERS[suffix][0]) as container:
        return picture.codec_context.name in container.supported_codecs


def _copied(
    container: av.container.InputContainer,
    picture: av.VideoStream,
    copy: av.VideoStream,
    shift_ticks: int,
    usual_ticks: int,
) -> Iterator[av.Packet]:
    for packet in container.demux(picture):
        if packet.size:  # the last one only says that the file has ended
            packet.stream = copy
            packet.pts = None if packet.pts is None else packet.pts - shift_ticks
            packet.dts = None if packet.dts is None else packet.dts - shift_ticks
            packet.duration = packet.duration or usual_ticks  # else the last frame would vanish at once
            yield packet


def _encoded(sound: av.AudioStream, samples: np.ndarray) -> Iterator[av.Packet]:
    for start in range(0, len(samples), SOUND_RATE_HZ):
        piece = samples[np.newaxis, start : start + SOUND_RATE_HZ]
        frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = SOUND_RATE_HZ, start, Fraction(1, SOUND_RATE_HZ)
        yield from sound.encode(frame)
    yield from sound.encode(None)


def _order(packet: av.Packet) -> Fraction:
    return packet_time(packet) if packet.dts is None else packet.dts * packet.time_base
