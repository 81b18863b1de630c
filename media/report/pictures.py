"""Frames, sounds, spectrograms and curves in a form for web pages that need no network."""

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
WIDTH, HEIGHT = 10_000, 1000  # of a chart's coordinates, whole numbers to keep the page small


def frame_uri(frame: np.ndarray) -> str:
    """Encodes a frame uint8 (height, width, 3) as a `data:` URI, a JPEG of at most 480 pixels a side."""
    picture = Image.fromarray(frame)
    picture.thumbnail((FRAME_SIDE, FRAME_SIDE))
    return _uri(picture, "JPEG", quality=80)


def spectrogram_uri(spectrogram: ArrayLike) -> str:
    """Encodes a spectrogram (bins, columns) in [-1, 1] as a `data:` URI, a PNG with low frequencies at the bottom.

    A long one is thinned to at most 1500 columns, each the maximum of several.
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
    """Thins a curve (points,) to at most 2000 points: the highest of several stays, at its own time."""
    times_s, values = np.asarray(times_s, dtype=float), np.asarray(values, dtype=float)
    size = -(-len(values) // MAX_POINTS)
    if size <= 1:
        return times_s, values
    padded = np.pad(values, (0, -len(values) % size), constant_values=-np.inf).reshape(-1, size)
    highest = padded.argmax(axis=1) + np.arange(len(padded)) * size
    return times_s[highest], values[highest]


def x_of(time_s: float, duration_s: float) -> int:
    """Horizontal coordinate of a time in a chart of this duration; times beyond it are at its edges."""
    return round(WIDTH * min(max(time_s / duration_s, 0.0), 1.0))


def y_of(value: float) -> int:
    """Vertical coordinate of a value in [0, 1], with 0 at the bottom; values beyond them are at the edges."""
    return round(HEIGHT * (1 - min(max(value, 0.0), 1.0)))


def _uri(picture: Image.Image, file_format: str, **options: int) -> str:
    written = io.BytesIO()
    picture.save(written, format=file_format, **options)
    return f"data:image/{file_format.lower()};base64,{b64encode(written.getvalue()).decode()}"
