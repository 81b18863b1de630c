"""Stabilisation: frames of a moving camera in changing light, aligned with the picture of the last seconds."""

from collections import deque
from dataclasses import dataclass

import numpy as np
from scipy.fft import irfft2, rfft2
from scipy.ndimage import affine_transform, maximum_filter, uniform_filter

from media.settings import check_positive

_UNMOVED = np.zeros(6)


@dataclass(frozen=True)
class StabilisationSettings:
    """How frames are aligned with the picture of the last seconds.

    A stiffness regularises one unknown of the fit: shifts are fast when a camera shakes, while zoom and rotation, which
    stretch the picture, are slow. All values have to be positive.
    """

    num_kept: int = 11  # frames of which the picture is the median
    num_first: int = 2  # weight of the first frame, so that it outweighs the second
    keep_s: float = 0.24  # time between two of these frames
    max_drift: float = 0.08  # share of the width; a camera that moves further starts again from there
    num_steps: int = 2  # steps of the fit
    tolerated_shift: float = 2.0  # pixels by which a part of the picture may be displaced before the fit
    shift_stiffness: float = 10.0
    stretch_stiffness: float = 20_000.0
    gain_stiffness: float = 10.0  # for the light's gain
    offset_stiffness: float = 0.01  # for the light's offset

    def __post_init__(self) -> None:
        check_positive(self)


@dataclass(frozen=True)
class StabilisedFrame:
    """A frame aligned with a view.

    The motion is that of the camera since the view started: a + b x + c y for rows, then for columns, with x and y in
    [-1, 1].
    """

    picture: np.ndarray  # float32 (height, width), without changes of camera and light; beyond the borders the view
    grey: np.ndarray  # the original frame
    motion: np.ndarray  # (6,), affine
    likeness: float  # correlation, up to 1, with the view or the previous frame, whichever is higher
    brightening: float  # mean change of the light since the view started, in grey levels
    noise: float  # standard deviation of the unexplained part, in grey levels
    structure: np.ndarray  # details of the frame, for the comparison with the next one
    spectrum: np.ndarray  # spectrum of the details


class StabilisedView:
    """The lasting picture of a scene: the median of frames of the last 2.6 s, each stabilised.

    How: phase correlation finds a shift, from which a robust least-squares fit of the camera's affine motion and of the
    light's gain and offset starts. Pixels that move by themselves have little weight.

    Source: Kuglin and Hines, "The phase correlation image alignment method" (1975); Baker and Matthews,
    "Lucas-Kanade 20 years on: a unifying framework" (2004), https://doi.org/10.1023/B:VISI.0000011205.11775.fd.

    Args:
        grey: float32 (height, width), the first frame; all others have its size.
        time_s: time of that frame.
        settings: settings of the method.

    Attributes:
        rest: float32 (height, width), the picture.
        slope: slope of `rest`, see `local_slope`.
        last, last_but_one: the newest frames, stabilised.
        noise: standard deviation in grey levels.
    """

    def __init__(
        self, grey: np.ndarray, time_s: float, settings: StabilisationSettings = StabilisationSettings()
    ) -> None:
        self._settings = settings
        affine = [settings.shift_stiffness, settings.stretch_stiffness, settings.stretch_stiffness]
        stiffness = [*affine, *affine, settings.gain_stiffness, settings.offset_stiffness]
        self._stiffness = np.diag(stiffness).astype(np.float32)
        self._middle = (np.array(grey.shape) - 1) / 2
        axes = (np.linspace(-1, 1, side, dtype=np.float32) for side in grey.shape)
        self._y, self._x = np.meshgrid(*axes, indexing="ij")
        self._window = np.outer(*(np.hanning(side) for side in grey.shape)).astype(np.float32)
        self._kept = deque([grey] * settings.num_first, maxlen=settings.num_kept)
        self._kept_s = time_s
        self._motion = _UNMOVED
        self._structure = _structure(grey)
        self._spectrum = rfft2(self._structure * self._window)
        self.noise = 0.0
        self.last = self.last_but_one = self._grey = grey
        self._update_rest()

    def stabilise(self, grey: np.ndarray) -> StabilisedFrame:
        """Aligns a frame with the view, which stays as it is."""
        spectrum = rfft2(_structure(grey) * self._window)
        motion, unexplained = self._guess_motion(grey, spectrum), np.zeros(0)
        for step in range(self._settings.num_steps):
            seen, inside = self._move(grey, motion), self._is_inside(motion)
            difference = (seen - self.rest).ravel()
            error = unexplained if step else difference - np.median(difference[::4])
            scale = 3 * (np.median(np.abs(error[::4])) + 0.3) + self._settings.tolerated_shift * self.slope.ravel()
            weights = inside.ravel() / np.square(1 + np.square(error / scale))
            weighted = self._slopes * weights[:, np.newaxis]
            fit = np.linalg.solve(weighted.T @ self._slopes + self._stiffness, weighted.T @ difference)
            unexplained = difference - self._slopes @ fit
            if step < self._settings.num_steps - 1:
                motion = motion + fit[:6]
        gain = np.clip(1 + fit[6], 0.5, 3)
        structure = _structure(seen)
        return StabilisedFrame(
            picture=self.rest + (unexplained / gain).reshape(grey.shape) * inside,
            grey=grey,
            motion=motion,
            likeness=max(_likeness(structure, self._rest_structure), _likeness(structure, self._structure)),
            brightening=float(fit[7]),
            noise=1.4826 * float(np.median(np.abs(unexplained[::4]))),
            structure=structure,
            spectrum=spectrum,
        )

    def accept(self, frame: StabilisedFrame, time_s: float) -> None:
        """Makes a frame part of the view, unless it shows another picture."""
        self.noise += (0.1 if self.noise else 1) * (frame.noise - self.noise)
        self._motion, self._structure, self._spectrum = frame.motion, frame.structure, frame.spectrum
        self.last, self.last_but_one, self._grey = frame.picture, self.last, frame.grey
        self.stay(time_s)

    def stay(self, time_s: float) -> None:
        """Extends the last frame to this time."""
        if time_s - self._kept_s < self._settings.keep_s - 1e-6:
            return
        self._kept.append(self.last)
        self._kept_s = time_s
        if np.abs(self._motion).max() > self._settings.max_drift * self._grey.shape[1]:
            back = self._invert(self._motion)
            self._kept = deque([self._move(picture, back) for picture in self._kept], maxlen=self._kept.maxlen)
            self.last, self.last_but_one = self._move(self.last, back), self._move(self.last_but_one, back)
            self._motion, self._structure = _UNMOVED, _structure(self._grey)
        self._update_rest()

    def _update_rest(self) -> None:
        self.rest = rest = np.median(self._kept, axis=0)
        self.slope = local_slope(rest)
        self._rest_structure = _structure(rest)
        down, right = np.gradient(-rest)
        columns = [axis * along for axis in (down, right) for along in (1, self._x, self._y)]
        self._slopes = np.stack([*columns, rest - rest.mean(), np.ones_like(rest)], axis=-1).reshape(-1, 8)

    def _guess_motion(self, grey: np.ndarray, spectrum: np.ndarray) -> np.ndarray:
        """Returns the last frame's motion, with or without the shift since then, whichever fits better."""
        cross = spectrum * self._spectrum.conj()
        size = np.abs(cross)
        peaks = irfft2(cross / (size + 1e-3 * size.max() + 1e-9), s=grey.shape)
        found = np.array(np.unravel_index(peaks.argmax(), peaks.shape))
        shift = np.where(found > self._middle, found - grey.shape, found)
        if np.abs(shift).max() <= 1:
            return self._motion
        shifted = self._motion + np.array([shift[0], 0, 0, shift[1], 0, 0])
        return min(self._motion, shifted, key=lambda motion: _spread(self._move(grey, motion) - self.rest))

    def _matrix(self, motion: np.ndarray) -> np.ndarray:
        return np.eye(2) + motion[[[2, 1], [5, 4]]] / self._middle

    def _invert(self, motion: np.ndarray) -> np.ndarray:
        inverse = np.linalg.inv(self._matrix(motion))
        down, right = -inverse @ motion[[0, 3]]
        (yy, yx), (xy, xx) = (inverse - np.eye(2)) * self._middle
        return np.array([down, yx, yy, right, xx, xy])

    def _move(self, picture: np.ndarray, motion: np.ndarray) -> np.ndarray:
        matrix = self._matrix(motion)
        offset = self._middle - matrix @ self._middle + motion[[0, 3]]
        return affine_transform(picture, matrix, offset, order=1, mode="nearest")

    def _is_inside(self, motion: np.ndarray) -> np.ndarray:
        motion = motion.astype(np.float32)
        rows = motion[0] + motion[1] * self._x + (motion[2] + self._middle[0].astype(np.float32)) * self._y
        columns = motion[3] + motion[4] * self._x + self._middle[1].astype(np.float32) * self._x + motion[5] * self._y
        return (np.abs(rows) <= self._middle[0] + 1e-3) & (np.abs(columns) <= self._middle[1] + 1e-3)


def local_slope(picture: np.ndarray) -> np.ndarray:
    """Computes the steepest change, in grey levels per pixel, within one pixel of each."""
    return maximum_filter(np.hypot(*np.gradient(picture)), 3)


def _structure(picture: np.ndarray) -> np.ndarray:
    return picture - uniform_filter(picture, 9, mode="nearest")


def _likeness(one: np.ndarray, other: np.ndarray) -> float:
    """Correlation, regularised so that two empty pictures are alike."""
    together, alone, other_alone = (float((a * b).mean()) + 4 for a, b in ((one, other), (one, one), (other, other)))
    return together / np.sqrt(alone * other_alone)


def _spread(differences: np.ndarray) -> float:
    return float(np.median(np.abs(differences - np.median(differences))))
