"""Movement on a coarse grid: how much changes in each part of the picture, and which way it moves."""

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

RATE_HZ = 25  # frames a second at which motion is measured and learned
VERSION = 1  # of the measures, which are cached
GRID = 8  # rows and columns of cells
CELL = 12  # pixels of a cell's sides, after the frame is shrunk to a square
CHANNELS = ("change", "brightening", "to the right", "down", "texture")
STILL = np.zeros((len(CHANNELS), GRID, GRID), np.float32)
STILL_FRAMES = 5  # repeated frames after which the picture is still, not just of a lower rate
FLATNESS = 4.0  # squared grey levels a pixel, below which a cell's direction counts less
RESTLESS = 0.9  # quantile of the frames, whose largest change is the unit of all changes


class MotionMeter:
    """Measures movement frame by frame, in constant memory: the rows of `take` are complete, and forgotten here.

    The measures of two successive frames belong to the moment between them, and are interpolated at the times of the
    frames, so that repeated frames of a video with a lower rate do no harm.

    Source of the directions: B. Lucas and T. Kanade, "An Iterative Image Registration Technique", IJCAI 1981.
    """

    def __init__(self) -> None:
        self._num_frames, self._num_rows = 0, 0
        self._rows: list[np.ndarray] = []
        self._grey: np.ndarray | None = None
        self._changed = 0
        self._last: tuple[float, np.ndarray] | None = None

    def add(self, frame: np.ndarray) -> None:
        """Processes the next frame, uint8 (height, width, 3), of any size."""
        number, grey = self._num_frames, _small_grey(frame)
        self._num_frames += 1
        if self._grey is not None:
            if np.array_equal(grey, self._grey):
                return
            self._rest_until(number - 1)
            self._interpolate((number + self._changed) / 2, _measure(self._grey, grey, number - self._changed))
        self._grey, self._changed = grey, number

    def take(self, is_end: bool = False) -> np.ndarray:
        """Returns float32 (frames, channels, rows, columns) of the frames that are complete, at the end of all."""
        if is_end and self._num_frames:
            self._rest_until(self._num_frames - 1)
            self._interpolate(self._num_frames - 1, STILL if self._last is None else self._last[1])
        rows, self._rows = self._rows, []
        return np.stack(rows) if rows else STILL[np.newaxis][:0]

    def _rest_until(self, number: int) -> None:
        """Adds rows without movement if no frame has differed for long."""
        if number - self._changed >= STILL_FRAMES:
            self._interpolate(self._changed + 1, STILL)
            self._interpolate(number, STILL)

    def _interpolate(self, time: float, measures: np.ndarray) -> None:
        """Adds the rows up to a time, counted in frames, at which these measures were taken."""
        earlier, before = self._last or (time - 1, measures)
        while self._num_rows <= time:
            part = np.clip((self._num_rows - earlier) / max(time - earlier, 1e-6), 0, 1)
            self._rows.append(((1 - part) * before + part * measures).astype(np.float32))
            self._num_rows += 1
        self._last = time, measures


def normalise_motion(motion: np.ndarray) -> np.ndarray:
    """Scales the motion of a film, so that near and far things, and strong and weak contrasts, are alike.

    Args:
        motion: float (frames, channels, rows, columns), as `MotionMeter` measures it; a whole film, or a minute of one.
    """
    unit = np.quantile(motion[:, 0].max(axis=(1, 2), initial=0), RESTLESS) + 1 if len(motion) else 1
    scales = np.array([1 / unit, 1 / unit, 0.5, 0.5, 0.05])[:, np.newaxis, np.newaxis]
    scaled = motion * scales
    scaled[:, 2:4] = scaled[:, 2:4].clip(-2, 2)
    return scaled.astype(np.float32)


def mirror_motion(motion: np.ndarray) -> np.ndarray:
    """The motion (frames, channels, rows, columns) of the same film, left and right swapped."""
    mirrored = motion[..., ::-1].copy()
    mirrored[:, CHANNELS.index("to the right")] *= -1
    return mirrored


def _small_grey(frame: np.ndarray) -> np.ndarray:
    side = GRID * CELL
    small = Image.fromarray(frame).convert("L").resize((side, side), Image.Resampling.BOX)
    return gaussian_filter(np.asarray(small, np.float32), 0.8)


def _measure(before: np.ndarray, now: np.ndarray, num_steps: int) -> np.ndarray:
    """Measures (channels, rows, columns) between two pictures; directions are in pixels a frame."""
    change, mean = now - before, (now + before) / 2
    down, right = np.gradient(mean)
    rr, dd, rd, rc, dc = map(_by_cell, (right * right, down * down, right * down, right * change, down * change))
    rr, dd = rr + FLATNESS, dd + FLATNESS
    determinant = (rr * dd - rd * rd) * num_steps
    to_right, to_down = (rd * dc - dd * rc) / determinant, (rd * rc - rr * dc) / determinant
    return np.stack([_by_cell(np.abs(change)), _by_cell(change), to_right, to_down, _by_cell(np.hypot(right, down))])


def _by_cell(picture: np.ndarray) -> np.ndarray:
    return picture.reshape(GRID, CELL, GRID, CELL).mean(axis=(1, 3))
