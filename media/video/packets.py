"""Packets of videos, in times that run on if a broadcast starts again within a file, as joined recordings do."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path

import av

MAX_PIXELS = 2**26  # pixels of a frame: twice as many as in 8K
LARGEST_FALL_S = Fraction(1, 10)  # of decoding times within one recording, as for FFmpeg's own command
LARGEST_LEAP_S = 10
USUAL_DURATION_S = Fraction(1, 25)  # for packets that lack one


class UnreadableVideo(ValueError):
    """A file that should be a video is not; the message names the file and the reason."""


@contextmanager
def open_video(path: Path) -> Iterator[tuple[av.container.InputContainer, av.VideoStream]]:
    """Opens a video; yields the container and its moving picture, which is never a cover.

    Raises:
        FileNotFoundError: if there is no such file.
        UnreadableVideo: if FFmpeg cannot read the file, at any time until it is closed.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not a file; expected a video.")
    limits = {"max_pixels": str(MAX_PIXELS)}
    # Only files, and by absolute paths: FFmpeg would take "12:30.mp4" for a web address.
    options = limits | {"protocol_whitelist": "file"}
    try:
        container = av.open(os.path.abspath(path), options=options, metadata_errors="replace")
    except Exception as error:  # mostly av.FFmpegError, but PyAV may raise anything on odd headers
        raise UnreadableVideo(f"{path} is not a readable video: {getattr(error, 'strerror', error)}.") from error
    with container:
        stream = _find_moving_picture(path, container)
        stream.codec_context.options = limits
        try:
            yield container, stream
        except av.FFmpegError as error:
            raise UnreadableVideo(f"{path} is not a readable video: {error.strerror}.") from error


def read_packets(
    container: av.container.InputContainer, stream: av.VideoStream | av.AudioStream | None = None
) -> Iterator[av.Packet]:
    """Reads the packets of one stream, or of all, up to the end of the file or of its readable part."""
    may_start_again = av.format.Flags.ts_discont in av.format.Flags(container.format.flags)
    with suppress(av.FFmpegError, IndexError):  # PyAV's IndexError: a stream that turned up late
        packets = container.demux(*([stream] if stream and not may_start_again else []))
        for packet in _join_recordings(packets) if may_start_again else packets:
            # An empty packet without a time marks the end of the file.
            if (packet.size or packet.dts is not None) and stream in (None, packet.stream):
                yield packet


def packet_time(packet: av.Packet) -> Fraction | None:
    """Time in seconds, on the file's own clock, at which a packet is shown; None if the packet has none."""
    ticks = packet.dts if packet.pts is None else packet.pts
    return None if ticks is None or not packet.time_base else ticks * packet.time_base


def _find_moving_picture(path: Path, container: av.container.InputContainer) -> av.VideoStream:
    moving = [s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]
    if not moving:
        raise UnreadableVideo(f"{path} holds no moving picture.")
    if moving[0].codec_context is None or not moving[0].time_base:
        raise UnreadableVideo(f"{path} holds a moving picture of a kind that FFmpeg cannot decode.")
    return moving[0]


def _join_recordings(packets: Iterable[av.Packet]) -> Iterator[av.Packet]:
    """Shows the packets of a later recording after all those before it in the file.

    A stream whose decoding times fall back, or leap far ahead, has reached the next recording. The first such stream
    sets the shift of that recording for the others too, so that picture and sound stay together.
    """
    shifts_s, end_s = [Fraction(0)], Fraction(0)
    latest: dict[int, tuple[int, Fraction]] = {}  # stream: recording and decoding time of its last packet
    for packet in packets:
        if packet.dts is not None:
            decoded_s = packet.dts * packet.time_base
            shown_s = decoded_s if packet.pts is None else packet.pts * packet.time_base
            recording, last_s = latest.get(packet.stream_index, (len(shifts_s) - 1, decoded_s))
            if not -LARGEST_FALL_S <= decoded_s - last_s <= LARGEST_LEAP_S:
                recording += 1
                if recording == len(shifts_s):
                    shifts_s.append(end_s - shown_s)
            latest[packet.stream_index] = recording, decoded_s
            duration_s = (packet.duration or 0) * packet.time_base or USUAL_DURATION_S
            end_s = max(end_s, shown_s + shifts_s[recording] + duration_s)
            shift_ticks = round(shifts_s[recording] / packet.time_base)
            packet.dts += shift_ticks
            packet.pts = None if packet.pts is None else packet.pts + shift_ticks
        yield packet
