"""FFmpeg's frames of sound: from arrays, decoded, filtered and downmixed, with any channel layout."""

import ctypes
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from itertools import chain

import av
import numpy as np

from media.known import known

Filter = tuple[str, Mapping[str, object]]  # name of one of FFmpeg's filters, and its options


class UnreadableSound(ValueError):
    """A file that should hold a sound does not; the message names the file and the reason."""


def as_frames(blocks: Iterable[np.ndarray], sample_rate_hz: int) -> Iterator[av.AudioFrame]:
    """Converts blocks (channels, samples) of one or two channels to consecutive frames from time 0."""
    start = 0
    for block in blocks:
        samples = np.ascontiguousarray(block, dtype=np.float32)
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono" if len(block) == 1 else "stereo")
        frame.sample_rate, frame.pts, frame.time_base = sample_rate_hz, start, Fraction(1, sample_rate_hz)
        start += block.shape[1]
        yield frame


def decode_frames(track: av.AudioStream, packets: Iterable[av.Packet | None]) -> Iterator[av.AudioFrame]:
    """Decodes the frames of a sound track, all of one kind.

    Frames with eight or more channels are for `filter_frames` only: `to_ndarray` reads beyond their end, unless the
    channels are interleaved (PyAV 18.1).

    Args:
        track: track of an open file.
        packets: packets of the track; None at the end flushes the decoder.

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
    """Filters frames, all of one kind, through a chain of FFmpeg's filters."""
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
            except (av.BlockingIOError, av.EOFError):  # needs more frames, or is at the end
                break
            assert isinstance(filtered, av.AudioFrame)
            _kept(filtered.layout)
            yield filtered


def layout_of(track: av.AudioStream) -> av.AudioLayout:
    """Returns the channel layout of a sound track.

    Raises:
        UnreadableSound: if FFmpeg does not know the codec.
    """
    if track.codec_context is None:
        raise UnreadableSound(
            f"{track.container.name} has a sound in a codec that FFmpeg does not know; convert it first."
        )
    return _kept(track.codec_context.layout)


def downmix(layout: av.AudioLayout) -> Filter:
    """Returns the filter that makes mono of one channel, and stereo of more.

    FFmpeg mixes all layouts that it knows. For ambisonic sound both sides have the omnidirectional first channel, and
    for other unknown layouts the mean of all channels.
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
    """Whether the channels are directions, not loudspeakers; then the first one is omnidirectional."""
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
    """Returns the layout, which Python never frees if the order of its channels is the file's own.

    PyAV 18.1 frees such an order twice, with the layout and with its frame or codec, which kills the process. Keeping
    the layout costs less than 100 bytes a frame.
    """
    if " (" in layout.name or is_ambisonic(layout):  # "8 channels (FL+FR+…)"
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(layout))
    return layout
