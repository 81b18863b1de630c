"""Frames of a restless camera in changing light, laid on the picture of the last seconds."""

from collections import deque
from dataclasses import dataclass

import numpy as np
from scipy.fft import irfft2, rfft2
from scipy.ndimage import affine_transform, maximum_filter, uniform_filter

NUM_KEPT = 11
NUM_FIRST = 2  # of the first frame, or else the second would weigh as much
KEEP_S = 0.24
MAX_DRIFT = 0.08  # of the width; a camera that has moved so far starts from there
NUM_STEPS = 2
TOLERATED_SHIFT = 2.0  # pixels by which what belongs to the picture may be off before the fit
# How much the fit resists each unknown: a shift and two stretches of rows, the same of columns, the light's gain and
# offset. Shaking shifts the picture; what stretches it, zooming and turning, is slow.
STIFFNESS = np.diag([10, 20_000, 20_000, 10, 20_000, 20_000, 10, 0.01]).astype(np.float32)
_UNMOVED = np.zeros(6)


@dataclass(frozen=True)
class SteadiedFrame:
    """A frame laid on a view.

    Attributes:
        picture: float32 (height, width), the frame as it would be had neither camera nor light changed; where the
            frame does not reach, the view itself.
        grey: the frame as it came.
        motion: (6,) of the camera since the view began: rows a + b x + c y, columns likewise, with x and y in [-1, 1].
        likeness: up to 1, to the view or to the frame before, whichever it is more like; about 0 for another picture.
        brightening: mean change of the light since the view began, in grey levels.
        noise: standard deviation in grey levels of what the view leaves unexplained.
        structure, spectrum: what the next frame is compared with.
    """

    picture: np.ndarray
    grey: np.ndarray
    motion: np.ndarray
    likeness: float
    brightening: float
    noise: float
    structure: np.ndarray
    spectrum: np.ndarray


class SteadyView:
    """The picture without what comes and goes: the median of frames of the last 2.6 s, each steadied.

    How: a shift found by phase correlation starts a robust least-squares fit of the camera's affine motion and of the
    light's gain and offset, in which what moves by itself weighs little.

    Source: Kuglin and Hines, "The phase correlation image alignment method" (1975); Baker and Matthews,
    "Lucas-Kanade 20 years on: a unifying framework" (2004), https://doi.org/10.1023/B:VISI.0000011205.11775.fd.

    Args:
        grey: float32 (height, width), the first frame; all others have its size.
        time_s: of that frame.

    Attributes:
        rest: float32 (height, width), the picture.
        slope: of `rest`, see `local_slope`.
        last, last_but_one: the newest frames, steadied.
        noise: standard deviation in grey levels.
    """

    def __init__(self, grey: np.ndarray, time_s: float) -> None:
        self._middle = (np.array(grey.shape) - 1) / 2
        self._y, self._x = np.meshgrid(
            *(np.linspace(-1, 1, side, dtype=np.float32) for side in grey.shape), indexing="ij"
        )
        self._window = np.outer(*(np.hanning(side) for side in grey.shape)).astype(np.float32)
        self._kept = deque([grey] * NUM_FIRST, maxlen=NUM_KEPT)
        self._kept_s = time_s
        self._motion = _UNMOVED
        self._structure = _structure(grey)
        self._spectrum = rfft2(self._structure * self._window)
        self.noise = 0.0
        self.last = self.last_but_one = self._grey = grey
        self._update_rest()

    def steady(self, grey: np.ndarray) -> SteadiedFrame:
        """Lay a frame on the view, which stays as it is."""
        spectrum = rfft2(_structure(grey) * self._window)
        motion, unexplained = self._start(grey, spectrum), None
        for step in range(NUM_STEPS):
            seen, inside = self._moved(grey, motion), self._inside(motion)
            difference = (seen - self.rest).ravel()
            error = difference - np.median(difference[::4]) if unexplained is None else unexplained
            scale = 3 * (np.median(np.abs(error[::4])) + 0.3) + TOLERATED_SHIFT * self.slope.ravel()
            weights = inside.ravel() / np.square(1 + np.square(error / scale))
            weighted = self._slopes * weights[:, np.newaxis]
            fit = np.linalg.solve(weighted.T @ self._slopes + STIFFNESS, weighted.T @ difference)
            unexplained = difference - self._slopes @ fit
            if step < NUM_STEPS - 1:
                motion = motion + fit[:6]
        gain = np.clip(1 + fit[6], 0.5, 3)
        structure = _structure(seen)
        return SteadiedFrame(
            picture=self.rest + (unexplained / gain).reshape(grey.shape) * inside,
            grey=grey,
            motion=motion,
            likeness=max(_likeness(structure, self._rest_structure), _likeness(structure, self._structure)),
            brightening=float(fit[7]),
            noise=1.4826 * float(np.median(np.abs(unexplained[::4]))),
            structure=structure,
            spectrum=spectrum,
        )

    def accept(self, frame: SteadiedFrame, time_s: float) -> None:
        """Make a frame part of the view; what shows another picture is best left out."""
        self.noise += (0.1 if self.noise else 1) * (frame.noise - self.noise)
        self._motion, self._structure, self._spectrum = frame.motion, frame.structure, frame.spectrum
        self.last, self.last_but_one, self._grey = frame.picture, self.last, frame.grey
        self.stay(time_s)

    def stay(self, time_s: float) -> None:
        """Let the last frame be seen until this time."""
        if time_s - self._kept_s < KEEP_S - 1e-6:
            return
        self._kept.append(self.last)
        self._kept_s = time_s
        if np.abs(self._motion).max() > MAX_DRIFT * self._grey.shape[1]:
            self._move_here()
        self._update_rest()

    def _move_here(self) -> None:
        back = self._inverse(self._motion)
        self._kept = deque([self._moved(picture, back) for picture in self._kept], maxlen=NUM_KEPT)
        self.last, self.last_but_one = self._moved(self.last, back), self._moved(self.last_but_one, back)
        self._motion, self._structure = _UNMOVED, _structure(self._grey)

    def _update_rest(self) -> None:
        self.rest = rest = np.median(self._kept, axis=0)
        self.slope = local_slope(rest)
        self._rest_structure = _structure(rest)
        down, right = np.gradient(-rest)
        columns = [axis * along for axis in (down, right) for along in (1, self._x, self._y)]
        self._slopes = np.stack([*columns, rest - rest.mean(), np.ones_like(rest)], axis=-1).reshape(-1, 8)

    def _start(self, grey: np.ndarray, spectrum: np.ndarray) -> np.ndarray:
        """The last frame's motion, or that with the shift since, whichever fits."""
        cross = spectrum * self._spectrum.conj()
        size = np.abs(cross)
        peaks = irfft2(cross / (size + 1e-3 * size.max() + 1e-9), s=grey.shape)
        found = np.array(np.unravel_index(peaks.argmax(), peaks.shape))
        shift = np.where(found > self._middle, found - grey.shape, found)
        if np.abs(shift).max() <= 1:
            return self._motion
        shifted = self._motion + np.array([shift[0], 0, 0, shift[1], 0, 0])
        return min(self._motion, shifted, key=lambda motion: _spread(self._moved(grey, motion) - self.rest))

    def _matrix(self, motion: np.ndarray) -> np.ndarray:
        return np.eye(2) + motion[[[2, 1], [5, 4]]] / self._middle

    def _inverse(self, motion: np.ndarray) -> np.ndarray:
        inverse = np.linalg.inv(self._matrix(motion))
        down, right = -inverse @ motion[[0, 3]]
        (yy, yx), (xy, xx) = (inverse - np.eye(2)) * self._middle
        return np.array([down, yx, yy, right, xx, xy])

    def _moved(self, picture: np.ndarray, motion: np.ndarray) -> np.ndarray:
        matrix = self._matrix(motion)
        return affine_transform(
            picture, matrix, self._middle - matrix @ self._middle + motion[[0, 3]], order=1, mode="nearest"
        )

    def _inside(self, motion: np.ndarray) -> np.ndarray:
        motion = motion.astype(np.float32)
        edge_y, edge_x = self._middle + 1e-3
        rows = motion[0] + motion[1] * self._x + (motion[2] + self._middle[0].astype(np.float32)) * self._y
        columns = motion[3] + motion[4] * self._x + self._middle[1].astype(np.float32) * self._x + motion[5] * self._y
        return (np.abs(rows) <= edge_y) & (np.abs(columns) <= edge_x)


def local_slope(picture: np.ndarray) -> np.ndarray:
    """Steepest change in grey levels a pixel, within one pixel of each."""
    return maximum_filter(np.hypot(*np.gradient(picture)), 3)


def _structure(picture: np.ndarray) -> np.ndarray:
    return picture - uniform_filter(picture, 9, mode="nearest")


def _likeness(one: np.ndarray, other: np.ndarray) -> float:
    """Correlation, with a little noise in common, so that two empty pictures are alike."""
    together, alone, other_alone = (float((a * b).mean()) + 4 for a, b in ((one, other), (one, one), (other, other)))
    return together / np.sqrt(alone * other_alone)


def _spread(differences: np.ndarray) -> float:
    return float(np.median(np.abs(differences - np.median(differences))))
