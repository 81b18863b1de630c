"""Animations as videos: no video container carries the packets of a GIF."""

from collections.abc import Iterator
from itertools import chain, pairwise
from pathlib import Path

import av

from media.files import atomic_path
from media.video.video_files import opened_video, probe_video


def encode_picture(animation: Path, output: Path) -> None:
    """Writes the picture of an animation as H.264 in an .mp4, frame by frame at its own times.

    An odd width or height loses a pixel, which H.264 as browsers play it cannot have.

    Raises:
        UnreadableVideo: where the animation is none, or is damaged.
    """
    info = probe_video(animation)
    with (
        atomic_path(output) as temporary,
        opened_video(animation) as (container, picture),
        av.open(str(temporary), "w", format="mp4") as written,
    ):
        stream = written.add_stream("libx264", rate=25, options={"crf": "16", "bf": "0"})
        stream.width, stream.height = (max(2, side - side % 2) for side in (info.width, info.height))
        stream.pix_fmt, stream.time_base = "yuv420p", picture.time_base
        stream.codec_context.time_base = picture.time_base
        end = round((info.start_s + info.duration_s) / picture.time_base)
        packets = _encoded(container.decode(picture), stream)
        for packet, following in pairwise(chain(packets, [None])):
            packet.duration = (following.pts if following else end) - packet.pts
            written.mux(packet)


def _encoded(frames: Iterator[av.VideoFrame], stream: av.VideoStream) -> Iterator[av.Packet]:
    for frame in frames:
        shown = frame.reformat(stream.width, stream.height, format="yuv420p")
        shown.pts, shown.time_base = frame.pts, frame.time_base
        yield from stream.encode(shown)
    yield from stream.encode(None)
