"""Videos as frames on a regular grid of times."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import av
import numpy as np

from media.known import known, with_following
from media.video.packets import MAX_PIXELS, UnreadableVideo, open_video, packet_time, read_packets

VIDEO_SUFFIXES = frozenset(
    {".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".webm"}
    | {".wmv"}
)
MAX_DURATION_S = 24 * 3600.0
LATEST_START_S = 60.0  # a first frame after this time is moved to time 0
NO_FRAME = f"{{path}} has no frame that can be decoded, has a time, and has at most {MAX_PIXELS} pixels."


@dataclass(frozen=True)
class VideoInfo:
    """Facts of a video as a viewer sees it, measured on its packets, since headers may lack them or be wrong."""

    path: Path
    width: int  # pixels, after the rotation
    height: int
    rotation_deg: int  # clockwise, that the viewer has to apply: 0, 90, 180 or 270
    start_s: float  # time of the first frame on the file's own clock; everywhere else it is at time 0
    duration_s: float  # from the start of the first frame to the end of the last
    frames_per_second: float  # mean rate; the frames need not be evenly spaced
    has_sound: bool  # whether there is a sound track, silent or not
    missing_s: float = 0.0  # promised by the header and absent, as after a broken download; 0 if below half a second
    is_mirrored: bool = False  # whether the viewer has to swap left and right, before the rotation
    is_timed_from_zero: bool = True  # not so for an MPEG stream or a piece of a broadcast, whose clock ran before


def probe_video(path: Path) -> VideoInfo:
    """Measures a video by reading its packets, in constant memory, and decoding only the first frame.

    A file that breaks off is a video that ends there; `missing_s` reports it.

    Raises:
        FileNotFoundError: if there is no such file.
        UnreadableVideo: if the file is no video, no frame of it can be decoded, a frame has more than MAX_PIXELS, or
            the video is longer than MAX_DURATION_S, as it seems if its clock is damaged.
    """
    path = Path(path)
    first_frame, first, last, end, num_packets = None, None, None, Fraction(0), 0
    with open_video(path) as (container, stream):
        promised_end = Fraction((container.start_time or 0) + (container.duration or 0), av.time_base)
        for packet in read_packets(container):
            is_picture = packet.stream is stream
            if first_frame is None and is_picture:
                first_frame = next(iter(_decode(stream, packet) or ()), None)
            if (time := packet_time(packet)) is not None:
                span = time, max(packet.duration or 0, 0) * packet.time_base
                end = max(end, span[0] + span[1])
                if is_picture and not packet.is_discard:
                    first, last, num_packets = min(first or span, span), max(last or span, span), num_packets + 1
        first_frame = first_frame or next(iter(_decode(stream, None) or ()), None)
        has_sound = bool(container.streams.audio)
        nominal_rate = stream.average_rate
        format_name = container.format.name
    if first_frame is None or first is None or last is None:
        raise UnreadableVideo(NO_FRAME.format(path=path))
    (start, _), (last_start, last_duration) = first, last
    if not last_duration:  # then the last frame stays for the mean duration
        mean_duration = (last_start - start) / max(num_packets - 1, 1)
        last_duration = mean_duration or 1 / (nominal_rate or Fraction(25))
    duration = last_start + last_duration - start
    if duration > MAX_DURATION_S:
        hours = f"{float(duration) / 3600:.1f}"
        raise UnreadableVideo(f"{path} is {hours} hours long; expected at most {MAX_DURATION_S / 3600:.0f}, cut it.")
    rotation_deg, is_mirrored = _find_orientation(first_frame)
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
    """Samples a video on a regular grid of times, in constant memory, however unevenly its own frames are spaced.

    Each grid time has the frame that a viewer would see then. As in players, the previous frame replaces one that
    cannot be decoded (at the start, the next one). A frame that stays for several grid times is the same array.

    Args:
        path: path of the video.
        frames_per_second: rate of the grid.
        max_side: pixels to which the longer side of larger frames is shrunk; None keeps all as they are.

    Yields:
        (time_s, frame) for time_s = 0, 1 / frames_per_second, … < duration_s; the video's first frame is at time 0.
        A frame is uint8 (height, width, 3), RGB, upright; all have the first one's size, even if the video's changes.

    Raises:
        FileNotFoundError: if there is no such file.
        UnreadableVideo: if `probe_video` refuses the file, or more than half of it cannot be decoded.
        ValueError: if `frames_per_second` is not positive.
    """
    if not frames_per_second > 0:
        raise ValueError(f"frames_per_second is {frames_per_second}, expected a positive number.")
    info = probe_video(path)
    num_yielded = 0
    with open_video(info.path) as (container, stream):
        tick_s = known(stream.time_base)
        start_ticks = round(info.start_s / tick_s)
        for frame, following in with_following(decode_shown_frames(info.path, container, stream)):
            # Rounded only once: a frame of exactly 0.6 s must not miss the grid's 0.6 s.
            hidden_from_s = float((known(following.pts) - start_ticks) * tick_s) if following else info.duration_s
            hidden_from_s = min(hidden_from_s, info.duration_s)
            if num_yielded / frames_per_second < hidden_from_s:
                picture = turn_upright(frame, info, max_side)
            while (time_s := num_yielded / frames_per_second) < hidden_from_s:
                yield time_s, picture
                num_yielded += 1
    if not num_yielded:
        raise UnreadableVideo(NO_FRAME.format(path=path))


def decode_shown_frames(
    path: Path, container: av.container.InputContainer, stream: av.VideoStream
) -> Iterator[av.VideoFrame]:
    """Decodes the frames that are shown and have a time; damaged ones are left out.

    Raises:
        UnreadableVideo: at the end, if more than half of the frames cannot be decoded.
    """
    stream.thread_type = "AUTO"
    num_packets = num_damaged = 0
    for packet in chain(read_packets(container, stream), [None]):
        frames = _decode(stream, packet)
        num_packets += packet is not None
        num_damaged += frames is None
        yield from (frame for frame in frames or () if frame.pts is not None)
    if 2 * num_damaged > num_packets:
        raise UnreadableVideo(f"{path} is damaged: {num_damaged} of its {num_packets} frames cannot be decoded.")


def _decode(stream: av.VideoStream, packet: av.Packet | None) -> list[av.VideoFrame] | None:
    """Returns the frames that a packet completes, or without a packet the last ones; None if it is damaged."""
    if packet is not None and not packet.size:  # the previous frame stays; decoders would take it for the end
        return []
    try:
        return stream.codec_context.decode(packet)
    except av.FFmpegError:
        return None


def _find_orientation(frame: av.VideoFrame) -> tuple[int, bool]:
    """Finds the clockwise rotation in degrees, and whether left and right are swapped before it."""
    angle_deg = frame.rotation if abs(frame.rotation) <= 180 else 0  # a matrix of zeros gives no angle
    try:
        matrix: Any = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:  # a kind of side data that PyAV does not know
        matrix = None
    a, b, _, c, d = np.frombuffer(matrix, np.int32)[:5].astype(float) if matrix else (1, 0, 0, 0, 1)
    is_mirrored = a * d < b * c
    return round(-angle_deg / 90 + 2 * is_mirrored) % 4 * 90, bool(is_mirrored)  # PyAV's angles are counterclockwise


def turn_upright(frame: av.VideoFrame, info: VideoInfo, max_side: int | None = None) -> np.ndarray:
    """Turns a frame as `read_frames` yields it."""
    turns = info.rotation_deg // 90
    scale = min(1.0, (max_side or math.inf) / max(info.width, info.height))
    width, height = (max(1, round(side * scale)) for side in (info.width, info.height)[:: -1 if turns % 2 else 1])
    picture = frame.reformat(width, height, format="rgb24", interpolation="AREA").to_ndarray()
    return np.ascontiguousarray(np.rot90(picture[:, ::-1] if info.is_mirrored else picture, k=-turns))
