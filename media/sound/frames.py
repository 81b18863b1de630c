"""Sound in FFmpeg's frames: made from arrays, decoded, filtered and mixed down, whatever the order of its channels."""

import ctypes
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from itertools import chain

import av
import numpy as np

from media.known import known

Filter = tuple[str, Mapping[str, object]]  # one of FFmpeg's, and its options


class UnreadableSound(ValueError):
    """A file that should hold a sound does not; the message names the file and the reason."""


def as_frames(blocks: Iterable[np.ndarray], sample_rate_hz: int) -> Iterator[av.AudioFrame]:
    """Blocks (channels, samples), one or two channels, as FFmpeg's frames, one after another from time 0."""
    start = 0
    for block in blocks:
        samples = np.ascontiguousarray(block, dtype=np.float32)
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono" if len(block) == 1 else "stereo")
        frame.sample_rate, frame.pts, frame.time_base = sample_rate_hz, start, Fraction(1, sample_rate_hz)
        start += block.shape[1]
        yield frame


def decode_frames(track: av.AudioStream, packets: Iterable[av.Packet | None]) -> Iterator[av.AudioFrame]:
    """The frames of a sound track, all of one kind. Eight channels and more are for `filter_frames` alone.

    `to_ndarray` of such frames reads beyond their end, unless the channels are interleaved (PyAV 18.1).

    Args:
        track: of an open file.
        packets: those of the track; a last None gives the frames that the decoder still holds.

    Raises:
        UnreadableSound: if FFmpeg does not know the codec, or the rate, the channels or the format change midway.
        av.FFmpegError: if the track is damaged.
    """
    layout_of(track)
    kind = None
    for packet in packets:
        frames = track.decode(packet)
        layouts = [_kept(frame.layout) for frame in frames]
        for frame, layout in zip(frames, layouts, strict=True):
            found = (frame.sample_rate, layout.name, frame.format.name)
            if found != (kind := kind or found):
                raise UnreadableSound(f"{track.container.name} has a sound that changes midway: {kind}, then {found}.")
            yield frame


def filter_frames(frames: Iterable[av.AudioFrame], *filters: Filter) -> Iterator[av.AudioFrame]:
    """Frames, all of one kind, through a chain of FFmpeg's filters, each given by its name and its options."""
    graph = None
    for frame in chain(frames, [None]):
        if graph is None:
            if frame is None:
                return
            graph = _graph(frame.sample_rate, frame.format.name, frame.layout.name, known(frame.time_base), *filters)
        graph.push(frame)
        while True:
            try:
                filtered = graph.pull()
            except (av.BlockingIOError, av.EOFError):  # wants more, or has given all
                break
            assert isinstance(filtered, av.AudioFrame)
            _kept(filtered.layout)
            yield filtered


def layout_of(track: av.AudioStream) -> av.AudioLayout:
    """The channels of a sound track, by number and order.

    Raises:
        UnreadableSound: if FFmpeg does not know the codec.
    """
    if track.codec_context is None:
        raise UnreadableSound(
            f"{track.container.name} has a sound in a codec that FFmpeg does not know; convert it first."
        )
    return _kept(track.codec_context.layout)


def downmix(layout: av.AudioLayout) -> Filter:
    """The filter that makes mono of one channel, and stereo of more.

    FFmpeg knows how loud each loudspeaker of an order is on either side. Of ambisonic sound the first channel, which
    holds what comes from all directions, is on both sides; so is the mean of channels that FFmpeg cannot place.
    """
    name = "stereo" if layout.nb_channels > 1 else "mono"
    usual = ("aformat", {"channel_layouts": name})
    try:
        _graph(48_000, "fltp", layout.name, Fraction(1, 48_000), usual)
    except av.FFmpegError:
        num_mixed = 1 if is_ambisonic(layout) else layout.nb_channels
        mix = "+".join(f"{1 / num_mixed:.9f}*c{channel}" for channel in range(num_mixed))
        return "pan", {"args": f"{name}|c0={mix}" + (f"|c1={mix}" if name == "stereo" else "")}
    return usual


def is_ambisonic(layout: av.AudioLayout) -> bool:
    """Whether the channels are directions, not loudspeakers; the first is then the sound as one microphone hears it."""
    return layout.name.startswith("ambisonic")


def _graph(
    sample_rate_hz: int, format_name: str, layout_name: str, time_base: Fraction, *filters: Filter
) -> av.filter.Graph:
    graph = av.filter.Graph()
    kind = {"sample_rate": sample_rate_hz, "sample_fmt": format_name, "time_base": time_base}
    nodes = [
        graph.add(name, **{key: str(value) for key, value in options.items()})
        for name, options in (("abuffer", kind | {"channel_layout": layout_name}), *filters, ("abuffersink", {}))
    ]
    graph.link_nodes(*nodes).configure()
    return graph


def _kept(layout: av.AudioLayout) -> av.AudioLayout:
    """The layout, which stays in memory if the order of its channels is the file's own.

    PyAV 18.1 frees such an order twice, with the layout and with the frame or the codec that it describes. This kills
    the process. So Python may not free the layout, which costs less than 100 bytes a frame.
    """
    if " (" in layout.name or is_ambisonic(layout):  # "8 channels (FL+FR+…)"
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(layout))
    return layout
