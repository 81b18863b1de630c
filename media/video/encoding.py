"""Pictures that no video file can hold as they are, such as animations, encoded again."""

import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av

from media.files import atomic_path
from media.known import known, with_following
from media.video.packets import open_video
from media.video.video_files import VideoInfo, decode_shown_frames, probe_video, turn_upright


def encode_picture(video: Path, output: Path) -> None:
    """Writes the shown frames of a video or an animation as H.264 in an .mp4, upright and at their own times.

    An odd width or height loses a pixel, since browsers play H.264 with even ones only.

    Raises:
        UnreadableVideo: if the file is no video or animation, or is damaged.
    """
    info = probe_video(video)
    with (
        atomic_path(output) as temporary,
        open_video(video) as (container, picture),
        av.open(str(temporary), "w", format="mp4") as written,
    ):
        stream = written.add_stream("libx264", rate=25, options={"crf": "16", "bf": "0"})
        stream.width, stream.height = (max(2, side - side % 2) for side in (info.width, info.height))
        tick_s = known(picture.time_base)
        stream.pix_fmt, stream.time_base, stream.codec_context.time_base = "yuv420p", tick_s, tick_s
        shape = picture.sample_aspect_ratio or Fraction(1)
        stream.codec_context.sample_aspect_ratio = 1 / shape if info.rotation_deg % 180 else shape
        start = 0 if info.is_timed_from_zero else round(info.start_s / tick_s)
        end = round((info.start_s + info.duration_s) / tick_s)
        packets = _encode(decode_shown_frames(video, container, picture), info, stream)
        for packet, following in with_following(packets):
            packet.duration = (known(following.pts) if following else end) - known(packet.pts)
            packet.pts, packet.dts = known(packet.pts) - start, known(packet.dts) - start
            written.mux(packet)


def _encode(frames: Iterator[av.VideoFrame], info: VideoInfo, stream: av.VideoStream) -> Iterator[av.Packet]:
    latest = -math.inf
    for frame in frames:
        if (ticks := known(frame.pts)) > latest:  # leaves out frames whose clock runs back
            latest = ticks
            is_turned = info.rotation_deg or info.is_mirrored
            shown = av.VideoFrame.from_ndarray(turn_upright(frame, info)) if is_turned else frame
            shown = shown.reformat(stream.width, stream.height, format="yuv420p")
            shown.pts, shown.time_base = ticks, stream.time_base
            yield from stream.encode(shown)
    yield from stream.encode(None)
