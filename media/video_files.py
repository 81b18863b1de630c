"""Videos as frames on a regular grid of times, and photos as arrays."""

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, pairwise
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageOps

VIDEO_SUFFIXES = frozenset(
    {".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".webm"}
    | {".wmv"}
)
PHOTO_SUFFIXES = frozenset({".bmp", ".gif", ".jfif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"})


class UnreadableVideo(ValueError):
    """A file that should be a video is not; the message names the file and the reason."""


class UnreadablePhoto(ValueError):
    """A file that should be a photo is not; the message names the file and the reason."""


@dataclass(frozen=True)
class VideoInfo:
    """What a video is, as a viewer sees it; measured on its packets, for headers may lack it or be wrong.

    Args:
        path: the file.
        width: pixels of a frame from left to right, after the rotation.
        height: pixels of a frame from top to bottom, after the rotation.
        rotation_deg: clockwise turn, 0, 90, 180 or 270, that the file asks its viewer to make.
        start_s: the file's own time of the first frame; everywhere else that frame is at time 0.
        duration_s: from the first frame's appearance to the end of the last.
        frames_per_second: the mean rate; the frames need not be evenly spaced.
        has_sound: whether there is a sound track, silent or not.
    """

    path: Path
    width: int
    height: int
    rotation_deg: int
    start_s: float
    duration_s: float
    frames_per_second: float
    has_sound: bool


def probe_video(path: Path) -> VideoInfo:
    """Measures a video by reading its packets and decoding only the first frame.

    Raises:
        FileNotFoundError: where there is no such file.
        UnreadableVideo: where the file is no video, or not one frame of it can be decoded.
    """
    path = Path(path)
    first_frame, spans = None, []
    with opened_video(path) as (container, stream):
        for packet in container.demux(stream):
            if first_frame is None:
                first_frame = next(iter(packet.decode()), None)
            if (time := packet_time(packet)) is not None and not packet.is_discard:
                spans.append((time, (packet.duration or 0) * packet.time_base))
        has_sound = bool(container.streams.audio)
        nominal_rate = stream.average_rate
    if first_frame is None or not spans:
        raise UnreadableVideo(f"{path} has no frame that can be decoded and has a time.")
    (start, _), (last, last_duration) = min(spans), max(spans)
    if not last_duration:  # the last frame stays for as long as a frame did on average
        last_duration = (last - start) / (len(spans) - 1) if last > start else 1 / (nominal_rate or Fraction(25))
    duration = last + last_duration - start
    rotation_deg = _clockwise_rotation_deg(first_frame)
    width, height = first_frame.width, first_frame.height
    return VideoInfo(
        path=path,
        width=height if rotation_deg % 180 else width,
        height=width if rotation_deg % 180 else height,
        rotation_deg=rotation_deg,
        start_s=float(start),
        duration_s=float(duration),
        frames_per_second=float(len(spans) / duration),
        has_sound=has_sound,
    )


def read_frames(
    path: Path, frames_per_second: float, max_side: int | None = None
) -> Iterator[tuple[float, np.ndarray]]:
    """Samples a video on a regular grid of times, however unevenly its own frames are spaced.

    A grid time shows the frame that a viewer would see then: the last one that appeared. Two frames at most are held
    in memory, so that a video may be of any length. A frame that stays for several grid times is the same array.

    Args:
        path: the video.
        frames_per_second: of the grid, not of the video.
        max_side: frames whose longer side has more pixels than this are shrunk to it; None keeps them as they are.

    Yields:
        (time_s, frame) for time_s = 0, 1 / frames_per_second, … < duration_s; the video's first frame is at time 0.
        A frame is uint8 (height, width, 3), RGB, turned upright.

    Raises:
        FileNotFoundError: where there is no such file.
        UnreadableVideo: where the file is no video, or is damaged.
        ValueError: where `frames_per_second` is not positive.
    """
    if not frames_per_second > 0:
        raise ValueError(f"frames_per_second is {frames_per_second}, expected a positive number.")
    info = probe_video(path)
    num_yielded = 0
    with opened_video(info.path) as (container, stream):
        stream.thread_type = "AUTO"
        start_ticks = round(info.start_s / stream.time_base)
        timed = (frame for frame in container.decode(stream) if frame.pts is not None)
        for frame, following in pairwise(chain(timed, [None])):
            # One rounding only: a frame of exactly 0.6 s must not be late for the grid's 0.6 s.
            hidden_from_s = float((following.pts - start_ticks) * stream.time_base) if following else info.duration_s
            if num_yielded / frames_per_second < hidden_from_s:
                picture = _rgb(frame, max_side)
            while (time_s := num_yielded / frames_per_second) < hidden_from_s:
                yield time_s, picture
                num_yielded += 1


def read_photo(path: Path) -> np.ndarray:
    """A photo as the camera's owner sees it: upright, in RGB, transparent parts on white; of an animation its start.

    Returns:
        uint8 (height, width, 3), RGB.

    Raises:
        FileNotFoundError: where there is no such file.
        UnreadablePhoto: where Pillow cannot read it, or it is so large that Pillow takes it for an attack.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not a file; expected a photo.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of large pictures and odd tags, and reads them well
            with Image.open(path) as image:
                return np.array(_rgb_image(ImageOps.exif_transpose(image)))
    except Exception as error:  # on a damaged file Pillow raises nearly anything: OSError, SyntaxError, struct.error …
        raise UnreadablePhoto(f"{path} is not a readable photo: {error}") from error


@contextmanager
def opened_video(path: Path) -> Iterator[tuple[av.container.InputContainer, av.VideoStream]]:
    """The container and its moving picture (a cover picture is none); what FFmpeg cannot read is named as such."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not a file; expected a video.")
    try:
        with av.open(path, metadata_errors="replace") as container:
            moving = [s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]
            if not moving:
                raise UnreadableVideo(f"{path} holds no moving picture.")
            yield container, moving[0]
    except av.FFmpegError as error:
        raise UnreadableVideo(f"{path} is not a readable video: {error.strerror}.") from error


def packet_time(packet: av.Packet) -> Fraction | None:
    """Seconds at which the packet's frame appears, in the file's own time; None for the mark of the file's end."""
    ticks = packet.dts if packet.pts is None else packet.pts
    return None if ticks is None else ticks * packet.time_base


def _clockwise_rotation_deg(frame: av.VideoFrame) -> int:
    return round(-frame.rotation / 90) % 4 * 90  # PyAV's angles turn against the clock


def _rgb(frame: av.VideoFrame, max_side: int | None) -> np.ndarray:
    scale = min(1.0, (max_side or math.inf) / max(frame.width, frame.height))
    width, height = (max(1, round(side * scale)) for side in (frame.width, frame.height))
    picture = frame.reformat(width, height, format="rgb24", interpolation="AREA").to_ndarray()
    return np.ascontiguousarray(np.rot90(picture, k=-_clockwise_rotation_deg(frame) // 90))


def _rgb_image(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits a pixel, which Pillow would clip to 8
        return Image.fromarray((np.array(image) / 257).round().clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")
