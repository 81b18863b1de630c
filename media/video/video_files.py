"""Videos as frames on a regular grid of times."""

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import av
import numpy as np

from media.known import known, with_following
from media.video.clock import on_one_clock

VIDEO_SUFFIXES = frozenset(
    {".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".webm"}
    | {".wmv"}
)
MAX_PIXELS = 2**26  # of a video's picture: twice those of 8K
MAX_DURATION_S = 24 * 3600.0
LATEST_START_S = 60.0  # a first frame that appears later is moved to time 0
NO_FRAME = f"{{path}} has no frame that can be decoded, has a time, and has at most {MAX_PIXELS} pixels."


class UnreadableVideo(ValueError):
    """A file that should be a video is not; the message names the file and the reason."""


@dataclass(frozen=True)
class VideoInfo:
    """Facts of a video, as a viewer sees it; measured on its packets, for headers may lack them or be wrong.

    Args:
        path: the file.
        width: pixels of a frame from left to right, after the rotation.
        height: pixels of a frame from top to bottom, after the rotation.
        rotation_deg: clockwise turn, 0, 90, 180 or 270, that the file asks its viewer to make.
        start_s: the file's own time of the first frame; everywhere else that frame is at time 0.
        duration_s: from the first frame's appearance to the end of the last.
        frames_per_second: the mean rate; the frames need not be evenly spaced.
        has_sound: whether there is a sound track, silent or not.
        missing_s: by how much all tracks end before the end that the header promises, as after a download that broke
            off; 0 if that is less than half a second, or if the header promises nothing.
        is_mirrored: whether the file asks its viewer to swap left and right, before the turn.
        is_timed_from_zero: whether the file's clock started with it; not so of MPEG streams and of pieces of a live
            broadcast, whose clock started with the broadcast or in 1970.
    """

    path: Path
    width: int
    height: int
    rotation_deg: int
    start_s: float
    duration_s: float
    frames_per_second: float
    has_sound: bool
    missing_s: float = 0.0
    is_mirrored: bool = False
    is_timed_from_zero: bool = True


def probe_video(path: Path) -> VideoInfo:
    """Measures a video by reading its packets, in constant memory, and decoding only the first frame.

    A file that breaks off is a video that ends there; `missing_s` reports it.

    Raises:
        FileNotFoundError: if there is no such file.
        UnreadableVideo: if the file is no video, not one frame of it can be decoded, its pictures have more than
            MAX_PIXELS, or it is longer than MAX_DURATION_S, as one with a damaged clock may seem to be.
    """
    path = Path(path)
    first_frame, first, last, end, num_packets = None, None, None, Fraction(0), 0
    with opened_video(path) as (container, stream):
        promised_end = Fraction((container.start_time or 0) + (container.duration or 0), av.time_base)
        for packet in packets(container):
            is_picture = packet.stream is stream
            if first_frame is None and is_picture:
                first_frame = next(iter(_decoded(stream, packet) or ()), None)
            if (time := packet_time(packet)) is not None:
                span = time, max(packet.duration or 0, 0) * packet.time_base
                end = max(end, span[0] + span[1])
                if is_picture and not packet.is_discard:
                    first, last, num_packets = min(first or span, span), max(last or span, span), num_packets + 1
        first_frame = first_frame or next(iter(_decoded(stream, None) or ()), None)
        has_sound = bool(container.streams.audio)
        nominal_rate = stream.average_rate
        format_name = container.format.name
    if first_frame is None or first is None or last is None:
        raise UnreadableVideo(NO_FRAME.format(path=path))
    (start, _), (last_start, last_duration) = first, last
    if not last_duration:  # the last frame stays for as long as a frame did on average
        mean_duration = (last_start - start) / max(num_packets - 1, 1)
        last_duration = mean_duration or 1 / (nominal_rate or Fraction(25))
    duration = last_start + last_duration - start
    if duration > MAX_DURATION_S:
        hours = f"{float(duration) / 3600:.1f}"
        raise UnreadableVideo(f"{path} is {hours} hours long; expected at most {MAX_DURATION_S / 3600:.0f}, cut it.")
    rotation_deg, is_mirrored = _orientation(first_frame)
    width, height = (first_frame.width, first_frame.height)[:: -1 if rotation_deg % 180 else 1]
    missing = promised_end - end
    return VideoInfo(
        path,
        width,
        height,
        rotation_deg,
        start_s=float(start),
        duration_s=float(duration),
        frames_per_second=float(num_packets / duration),
        has_sound=has_sound,
        missing_s=float(missing) if missing >= 0.5 else 0.0,
        is_mirrored=is_mirrored,
        is_timed_from_zero=format_name not in ("mpegts", "mpeg") and abs(start) <= LATEST_START_S,
    )


def read_frames(
    path: Path, frames_per_second: float, max_side: int | None = None
) -> Iterator[tuple[float, np.ndarray]]:
    """Samples a video on a regular grid of times, however unevenly its own frames are spaced.

    A grid time shows the frame that a viewer would see then: the last one that appeared. Damage is shown as players
    show it: in place of a frame that cannot be decoded the one before it stays (at the start, the one after it).
    Two frames at most are held in memory, so that a video may be of any length. A frame that stays for several grid
    times is the same array.

    Args:
        path: the video.
        frames_per_second: of the grid, not of the video.
        max_side: frames whose longer side has more pixels than this are shrunk to it; None keeps them as they are.

    Yields:
        (time_s, frame) for time_s = 0, 1 / frames_per_second, … < duration_s; the video's first frame is at time 0.
        A frame is uint8 (height, width, 3), RGB, turned upright; all have the first one's size, even if the video
        changes its own.

    Raises:
        FileNotFoundError: if there is no such file.
        UnreadableVideo: if `probe_video` refuses the file, or more than half of it cannot be decoded.
        ValueError: if `frames_per_second` is not positive.
    """
    if not frames_per_second > 0:
        raise ValueError(f"frames_per_second is {frames_per_second}, expected a positive number.")
    info = probe_video(path)
    num_yielded = 0
    with opened_video(info.path) as (container, stream):
        tick_s = known(stream.time_base)
        start_ticks = round(info.start_s / tick_s)
        for frame, following in with_following(timed_frames(info.path, container, stream)):
            # One rounding only: a frame of exactly 0.6 s must not be late for the grid's 0.6 s.
            hidden_from_s = float((known(following.pts) - start_ticks) * tick_s) if following else info.duration_s
            hidden_from_s = min(hidden_from_s, info.duration_s)
            if num_yielded / frames_per_second < hidden_from_s:
                picture = upright(frame, info, max_side)
            while (time_s := num_yielded / frames_per_second) < hidden_from_s:
                yield time_s, picture
                num_yielded += 1
    if not num_yielded:
        raise UnreadableVideo(NO_FRAME.format(path=path))


@contextmanager
def opened_video(path: Path) -> Iterator[tuple[av.container.InputContainer, av.VideoStream]]:
    """The container and its moving picture (a cover picture is none); what FFmpeg cannot read is named as such."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not a file; expected a video.")
    limits = {"max_pixels": str(MAX_PIXELS)}
    try:
        # Only files, and with a path that starts at the root: FFmpeg would take "12:30.mp4" for an address of the web.
        container = av.open(
            os.path.abspath(path), options=limits | {"protocol_whitelist": "file"}, metadata_errors="replace"
        )
    except Exception as error:  # mostly av.FFmpegError, but PyAV's own reading of odd headers may fail in any way
        raise UnreadableVideo(f"{path} is not a readable video: {getattr(error, 'strerror', error)}.") from error
    with container:
        stream = _moving_picture(path, container)
        stream.codec_context.options = limits
        try:
            yield container, stream
        except av.FFmpegError as error:
            raise UnreadableVideo(f"{path} is not a readable video: {error.strerror}.") from error


def packets(
    container: av.container.InputContainer, stream: av.VideoStream | av.AudioStream | None = None
) -> Iterator[av.Packet]:
    """The packets of one stream, or of all, on one clock; if a damaged file breaks off they end, as in a player."""
    may_start_again = av.format.Flags.ts_discont in av.format.Flags(container.format.flags)
    with suppress(av.FFmpegError, IndexError):  # PyAV's IndexError: a stream that turned up late
        found = container.demux(*([stream] if stream and not may_start_again else []))
        for packet in on_one_clock(found) if may_start_again else found:
            # A packet of nothing only says that the file has ended.
            if (packet.size or packet.dts is not None) and stream in (None, packet.stream):
                yield packet


def packet_time(packet: av.Packet) -> Fraction | None:
    """Seconds at which the packet's frame appears, in the file's own time; None for the mark of the file's end."""
    ticks = packet.dts if packet.pts is None else packet.pts
    return None if ticks is None or not packet.time_base else ticks * packet.time_base


def _moving_picture(path: Path, container: av.container.InputContainer) -> av.VideoStream:
    moving = [s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]
    if not moving:
        raise UnreadableVideo(f"{path} holds no moving picture.")
    if moving[0].codec_context is None or not moving[0].time_base:
        raise UnreadableVideo(f"{path} holds a moving picture of a kind that FFmpeg cannot decode.")
    return moving[0]


def timed_frames(path: Path, container: av.container.InputContainer, stream: av.VideoStream) -> Iterator[av.VideoFrame]:
    """The frames that are shown and have a time; damaged ones are left out.

    Raises:
        UnreadableVideo: at the end, if more than half of the frames cannot be decoded.
    """
    stream.thread_type = "AUTO"
    num_packets = num_damaged = 0
    for packet in chain(packets(container, stream), [None]):
        frames = _decoded(stream, packet)
        num_packets += packet is not None
        num_damaged += frames is None
        yield from (frame for frame in frames or () if frame.pts is not None)
    if 2 * num_damaged > num_packets:
        raise UnreadableVideo(f"{path} is damaged: {num_damaged} of its {num_packets} frames cannot be decoded.")


def _decoded(stream: av.VideoStream, packet: av.Packet | None) -> list[av.VideoFrame] | None:
    """The frames that a packet completes, without a packet the last ones; None if it is damaged."""
    if packet is not None and not packet.size:  # the frame before it stays; a decoder would take it for the end
        return []
    try:
        return stream.codec_context.decode(packet)
    except av.FFmpegError:
        return None


def _orientation(frame: av.VideoFrame) -> tuple[int, bool]:
    """The clockwise turn in degrees, and whether left and right are swapped before it."""
    angle_deg = frame.rotation if abs(frame.rotation) <= 180 else 0  # a matrix of zeros gives no angle
    try:
        matrix: Any = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:  # PyAV does not know all kinds of side data
        matrix = None
    a, b, _, c, d = np.frombuffer(matrix, np.int32)[:5].astype(float) if matrix else (1, 0, 0, 0, 1)
    is_mirrored = a * d < b * c
    return round(-angle_deg / 90 + 2 * is_mirrored) % 4 * 90, bool(is_mirrored)  # PyAV's angles turn against the clock


def upright(frame: av.VideoFrame, info: VideoInfo, max_side: int | None = None) -> np.ndarray:
    """A frame as `read_frames` gives it."""
    turns = info.rotation_deg // 90
    scale = min(1.0, (max_side or math.inf) / max(info.width, info.height))
    width, height = (max(1, round(side * scale)) for side in (info.width, info.height)[:: -1 if turns % 2 else 1])
    picture = frame.reformat(width, height, format="rgb24", interpolation="AREA").to_ndarray()
    return np.ascontiguousarray(np.rot90(picture[:, ::-1] if info.is_mirrored else picture, k=-turns))
