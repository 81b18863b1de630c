"""Frames, sounds, spectrograms and curves in the form that a web page without network can hold."""

import io
from base64 import b64encode
from pathlib import Path

import av
import numpy as np
from matplotlib import colormaps
from numpy.typing import ArrayLike
from PIL import Image

from media.sound.sound_files import UnreadableSound

SOUND_BIT_RATE = 48_000
FRAME_SIDE = 480
MAX_POINTS = 2000
MAX_COLUMNS = 1500
WIDTH, HEIGHT = 10_000, 1000  # of the charts' coordinates: whole numbers keep the page small


def frame_uri(frame: np.ndarray) -> str:
    """Encodes a frame uint8 (height, width, 3) as a `data:` URI, a JPEG of at most 480 pixels a side."""
    picture = Image.fromarray(frame)
    picture.thumbnail((FRAME_SIDE, FRAME_SIDE))
    return _uri(picture, "JPEG", quality=80)


def spectrogram_uri(spectrogram: ArrayLike) -> str:
    """Encodes a spectrogram (bins, columns) in [-1, 1] as a `data:` URI, a PNG with low frequencies at the bottom.

    A long one is thinned to at most 1500 columns, each the loudest of those that it stands for.
    """
    levels = (np.clip(np.asarray(spectrogram)[::-1], -1, 1) * 127.5 + 127.5).round().astype(np.uint8)
    size = -(-levels.shape[1] // MAX_COLUMNS)
    if size > 1:
        levels = np.maximum.reduceat(levels, np.arange(0, levels.shape[1], size), axis=1)
    picture = Image.fromarray(levels)
    picture.putpalette((colormaps["magma"](np.arange(256), bytes=True)[:, :3]).tobytes())
    return _uri(picture, "PNG", optimize=True)


def sound_uri(path: Path) -> str:
    """Encodes a sound file as a `data:` URI, Opus in WebM, which browsers play: 8 kB for each second.

    Raises:
        FileNotFoundError: if there is no such file.
        UnreadableSound: if the file is no sound.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not a file; expected the sound that the report plays.")
    written = io.BytesIO()
    try:
        with av.open(path) as container, av.open(written, "w", format="webm") as webm:
            if not container.streams.audio:
                raise UnreadableSound(f"{path} has no sound track.")
            layout = container.streams.audio[0].layout
            opus = webm.add_stream("libopus", rate=48_000, layout=layout, bit_rate=SOUND_BIT_RATE)
            for frame in container.decode(audio=0):
                webm.mux(opus.encode(frame))
            webm.mux(opus.encode(None))
    except av.FFmpegError as error:
        raise UnreadableSound(f"{path} is not a readable sound: {error.strerror}.") from error
    return f"data:audio/webm;base64,{b64encode(written.getvalue()).decode()}"


def thin(times_s: ArrayLike, values: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Thins a curve (points,) to at most 2000 points: of neighbours the highest stays, at its own time."""
    times_s, values = np.asarray(times_s, dtype=float), np.asarray(values, dtype=float)
    size = -(-len(values) // MAX_POINTS)
    if size <= 1:
        return times_s, values
    padded = np.pad(values, (0, -len(values) % size), constant_values=-np.inf).reshape(-1, size)
    highest = padded.argmax(axis=1) + np.arange(len(padded)) * size
    return times_s[highest], values[highest]


def curve_path(times_s: ArrayLike, values: ArrayLike, duration_s: float, is_filled: bool = False) -> str:
    """Draws a curve (points,) with values in [0, 1] as the `d` of an SVG path, flat before and after its points.

    Args:
        times_s: times of the points, in rising order.
        values: heights of the points, 0 at the bottom of the chart and 1 at its top.
        duration_s: time at the chart's right edge.
        is_filled: whether the path returns to its start along the bottom.
    """
    times_s, values = thin(times_s, values)
    points = [f"{_x(time, duration_s)} {_y(value)}" for time, value in zip(times_s, values, strict=True)]
    line = f"0 {_y(values[0])}L{'L'.join(points)}L{WIDTH} {_y(values[-1])}"
    return f"M0 {HEIGHT}L{line}L{WIDTH} {HEIGHT}Z" if is_filled else f"M{line}"


def stems_path(times_s: ArrayLike, heights: ArrayLike, duration_s: float) -> str:
    """Draws upright lines from the bottom of the chart to heights (lines,) in [0, 1], as the `d` of an SVG path."""
    stems = zip(np.asarray(times_s), np.asarray(heights), strict=True)
    return "".join(f"M{_x(time, duration_s)} {HEIGHT}V{_y(height)}" for time, height in stems)


def dots_path(times_s: ArrayLike, heights: ArrayLike, duration_s: float) -> str:
    """Draws the ends of the same lines, of which a round pen makes dots."""
    dots = zip(np.asarray(times_s), np.asarray(heights), strict=True)
    return "".join(f"M{_x(time, duration_s)} {_y(height)}h0" for time, height in dots)


def bars_path(spans_s: list[tuple[float, float]], duration_s: float) -> str:
    """Draws spans of time (start, end) as bars of the chart's whole height, as the `d` of an SVG path."""
    edges = ((_x(start_s, duration_s), _x(end_s, duration_s)) for start_s, end_s in spans_s)
    return "".join(f"M{start} 0H{end}V{HEIGHT}H{start}Z" for start, end in edges)


def _x(time_s: float, duration_s: float) -> int:
    return round(WIDTH * min(max(time_s / duration_s, 0.0), 1.0))


def _y(value: float) -> int:
    return round(HEIGHT * (1 - min(max(value, 0.0), 1.0)))


def _uri(picture: Image.Image, file_format: str, **options: int) -> str:
    written = io.BytesIO()
    picture.save(written, format=file_format, **options)
    return f"data:image/{file_format.lower()};base64,{b64encode(written.getvalue()).decode()}"
