"""Drawings of spectrograms, code grids, films and confusion matrices."""

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from PIL import Image, ImageOps

from media.files import atomic_path


def draw_grids(rows: list[list[tuple[str, ArrayLike]]], value_range: tuple[float, float] = (-1.0, 1.0)) -> np.ndarray:
    """Draws spectrograms, code grids or pictures side by side.

    Args:
        rows: lists of (title, array); (bins, frames) is shown with low frequencies at the bottom, and
            (3, height, width) in [0, 1] in its colours.
        value_range: values with the darkest and the brightest colour.

    Returns:
        A picture (height, width, 3) uint8.
    """
    num_columns = max(len(row) for row in rows)
    figure = Figure(figsize=(2.6 * num_columns, 2.4 * len(rows)), dpi=100, layout="constrained")
    axes = figure.subplots(len(rows), num_columns, squeeze=False)
    for axes_row, row in zip(axes, rows, strict=True):
        for axis in axes_row:
            axis.axis("off")
        for axis, (title, grid) in zip(axes_row, row, strict=False):
            grid = np.asarray(grid)
            if grid.ndim == 3:
                axis.imshow(np.moveaxis(grid, 0, -1).clip(0, 1))
            else:
                low, high = value_range
                axis.imshow(grid, origin="lower", aspect="auto", cmap="magma", vmin=low, vmax=high)
            axis.set_title(title, fontsize=9, parse_math=False)
    return _render(figure)


def draw_film(
    frames: list[np.ndarray],
    spectrogram: ArrayLike,
    scenes: list[tuple[float, float, str]],
    sample_rate_hz: int,
) -> np.ndarray:
    """Draws frames of a video, in their own proportions, above the spectrogram of its sound, on one time axis.

    Args:
        frames: pictures (height, width, 3) uint8, evenly spaced over the video.
        spectrogram: levels (bins, frames) in [-1, 1], with half the sample rate as the highest frequency.
        scenes: start and end in seconds, and name, of each scene.
        sample_rate_hz: sample rate of the sound.

    Returns:
        A picture (height, width, 3) uint8.
    """
    height, width = frames[0].shape[:2]
    film_height = min(1.5, 9.3 / len(frames) * height / width)  # inches; the axes are about 9.3 wide
    figure = Figure(figsize=(10, 2.9 + film_height), dpi=100, layout="constrained")
    film, sound = figure.subplots(2, 1, sharex=True, height_ratios=[film_height, 2.2])
    end_s = scenes[-1][1]
    film.set_facecolor("black")
    film.set_yticks([])
    extent = (0, end_s, 0, sample_rate_hz / 2000)
    sound.imshow(np.asarray(spectrogram), "magma", origin="lower", aspect="auto", vmin=-1, vmax=1, extent=extent)
    for start_s, stop_s, name in scenes:
        film.text((start_s + stop_s) / 2, 1.04, name, ha="center", fontsize=10, parse_math=False)
        for axis in (film, sound):
            axis.axvline(start_s, color="white", linewidth=1)
    film.set_xlim(0, end_s)
    film.set_ylim(0, 1)
    sound.set_xlabel("seconds")
    sound.set_ylabel("kHz")
    figure.draw_without_rendering()  # sets the layout, from which the size of a frame follows
    cell = film.get_window_extent()
    size = round(cell.width / len(frames)), round(cell.height)
    padded = [np.asarray(ImageOps.pad(Image.fromarray(frame), size)) for frame in frames]
    film.imshow(np.hstack(padded), extent=(0, end_s, 0, 1), aspect="auto")
    return _render(figure)


def draw_confusion_matrix(matrix: ArrayLike, classes: list[str]) -> np.ndarray:
    """Draws counts with true classes down and predicted classes across → (height, width, 3) uint8."""
    matrix = np.asarray(matrix)
    size = 2.5 + 0.6 * len(classes)
    figure = Figure(figsize=(size, size), dpi=100, layout="constrained")
    axis = figure.subplots()
    axis.imshow(matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1), cmap="Blues", vmin=0, vmax=1)
    axis.set_xticks(range(len(classes)), classes, rotation=45, ha="right", parse_math=False)
    axis.set_yticks(range(len(classes)), classes, parse_math=False)
    axis.set_xlabel("predicted")
    axis.set_ylabel("true")
    for true, row in enumerate(matrix):
        for predicted, count in enumerate(row):
            axis.text(predicted, true, f"{int(count)}", ha="center", va="center", color="tab:red")
    return _render(figure)


def write_png(path: Path, picture: np.ndarray) -> None:
    """Writes a picture (height, width, 3) uint8; the file is complete or absent."""
    with atomic_path(path) as temporary:
        Image.fromarray(picture).save(temporary, format="PNG")


def _render(figure: Figure) -> np.ndarray:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
