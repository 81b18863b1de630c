"""The files that can hold a video's picture with a new sound, and the obstacles to copying its packets into them."""

import os
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av

from media.known import known
from media.video.packets import UnreadableVideo, open_video, packet_time, read_packets

CONTAINERS: dict[str, tuple[str, Literal["aac", "libopus"]]] = {  # suffix: FFmpeg's muxer, the sound's encoder
    ".mp4": ("mp4", "aac"),
    ".mov": ("mov", "aac"),
    ".mkv": ("matroska", "aac"),
    ".webm": ("webm", "libopus"),
}
HIDING = (".mp4", ".mov")  # files with edit lists, whose shape of pixels PyAV can set
NEVER_COPIED = ("gif", "apng", "webp", "rawvideo")  # codecs that players do not know in these files


def plan_output(video: Path) -> tuple[str, str]:
    """Plans how a video is written with a new sound, before that is made.

    Returns:
        The suffix of the output, the video's own if possible; and the reason, in words, why the picture has to be
        encoded again by `media.video.encoding`, or "" if it can be copied.

    Raises:
        FileNotFoundError, UnreadableVideo: see `find_obstacle`.
    """
    video, obstacles = Path(video), []
    with open_video(video) as (_, picture):
        codec = picture.codec_context.name
        fitting = [suffix for suffix in (video.suffix.lower(), ".mp4", ".mkv") if _can_hold(suffix, picture)]
    for suffix in fitting or [".mov"]:
        obstacles.append(find_obstacle(video, suffix))
        if not obstacles[-1]:
            return suffix, ""
    return ".mp4", obstacles[0] if fitting else f"holds a {codec} picture, which no video file holds with sound"


def find_obstacle(video: Path, suffix: str) -> str:
    """Finds the reason why a picture's packets cannot be copied into a file of this suffix; "" if they can.

    Raises:
        FileNotFoundError: if there is no such file.
        UnreadableVideo: if the file is no video, or does not say when its frames are shown.
    """
    with open_video(video) as (container, picture):
        codec = picture.codec_context
        if container.format.name == "avi" and codec.name == "h264" and codec.has_b_frames:
            raise UnreadableVideo(f"{video} does not say when its B-frames are shown; convert it to .mp4 first.")
        if not _can_hold(suffix, picture):
            return f"holds a {codec.name} picture, which a {suffix or 'file without suffix'} does not hold"
        if own_pixel_shape(picture) and suffix not in HIDING:
            return f"stretches its picture, as no {suffix} can"
        return _find_obstacle_in_time(container, picture, suffix)


def is_after_the_end(packet: av.Packet) -> bool:
    """Whether an edit list ends the picture before this packet, if there is no obstacle to a copy."""
    return packet.is_discard and known(packet_time(packet)) >= 0


def own_pixel_shape(picture: av.VideoStream) -> Fraction | None:
    """Width to height of a pixel, if the container has it and the packets do not."""
    shape = picture.sample_aspect_ratio
    return None if shape in (None, 0, 1, picture.codec_context.sample_aspect_ratio) else shape


def _can_hold(suffix: str, picture: av.VideoStream) -> bool:
    if suffix not in CONTAINERS or picture.codec_context.name in NEVER_COPIED:
        return False
    try:
        with av.open(os.devnull, "w", format=CONTAINERS[suffix][0]) as container:
            container.add_stream_from_template(picture, opaque=True)
            container.start_encoding()
    except (ValueError, av.FFmpegError):
        return False
    return True


def _find_obstacle_in_time(container: av.container.InputContainer, picture: av.VideoStream, suffix: str) -> str:
    latest_s, is_hidden_before, is_hidden_within = None, False, False
    for packet in read_packets(container, picture):
        if not packet.size or (time_s := packet_time(packet)) is None:
            continue
        if packet.is_discard:
            is_hidden_before, is_hidden_within = is_hidden_before or time_s < 0, is_hidden_within or time_s >= 0
        elif is_hidden_within or (is_hidden_before and suffix not in HIDING):
            return "shows parts of its picture only, by an edit list"
        if packet.dts is not None:
            decoded_s = packet.dts * packet.time_base
            if not (decoded_s if latest_s is None else latest_s) <= decoded_s <= time_s:
                return "has a clock that runs back"
            latest_s = decoded_s
    return ""
