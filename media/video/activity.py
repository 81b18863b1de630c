"""When something sudden happens in the picture: a mouth opens, a paw strikes."""

from array import array
from collections import deque
from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter, maximum_filter
from scipy.signal import find_peaks

from media.settings import check_positive
from media.video.stabilisation import StabilisationSettings, StabilisedFrame, StabilisedView, local_slope


@dataclass(frozen=True)
class ActivitySettings:
    """How sudden local changes are told from all others.

    The defaults were chosen on the films of benchmarks/moving_animal.py from seed 100 on, see benchmarks/timing.py.

    Raises:
        ValueError: if a value is not positive.
    """

    num_pixels: int = 3600  # of the small grey frames, 80 × 45 for a film of 16:9
    block: int = 5  # side in pixels; what is new is judged block by block
    same_picture: float = 0.5  # frames less like the ones before show something else
    confirm_s: float = 0.16  # what is something else for so long came with a cut; a flash is shorter
    recent_s: float = 0.4
    still_s: float = 0.2
    neighbours: int = 3  # blocks; what moves on comes from one of these
    edge: float = 0.5  # a shift by so many pixels is as little as the noise
    min_noise: float = 1.0  # grey levels
    light: float = 0.4  # grey levels that are no change for each by which all the picture grows brighter or darker
    everywhere: float = 3.0  # what changes is local, or else it counts only above so many times the whole's change
    max_new: float = 1.0  # no block counts for more
    num_blocks: int = 4  # the newest, which make the figure of a frame
    window_reach: int = 4  # pixels around a block's middle
    max_step: int = 4  # pixels, for one step of a motion
    unforeseen_power: int = 3
    half: float = 0.2  # surprise that is drawn at half the curve's height
    min_surprise: float = 0.06  # of a hump
    num_deviations: float = 3.0  # by which a hump stands out from what is around it
    min_rise: float = 0.6  # of a hump, as a part of its own height
    around_s: float = 2.0
    min_gap_s: float = 0.24
    start: float = 0.25  # an onset starts at the frame with this part of its hump's height

    def __post_init__(self) -> None:
        check_positive(self)


@dataclass(frozen=True)
class Activity:
    """Sudden changes in a video.

    Attributes:
        times_s: (frames,) times of the frames, from 0.
        curve: (frames,) in [0, 1), how sudden the changes are; 0 for a steady motion, however large.
        onsets_s: (onsets,) when something sudden starts, in rising order.
        strengths: (onsets,) in (0, 1], the curve's height shortly after.
        cuts_s: (cuts,) first frames of another picture.
    """

    times_s: np.ndarray
    curve: np.ndarray
    onsets_s: np.ndarray
    strengths: np.ndarray
    cuts_s: np.ndarray


class ActivityMeter:
    """Finds sudden local changes in frames that come one by one, as when an animal opens its mouth.

    How: each frame is shrunk and laid on the picture of the last seconds (see `StabilisedView`), which takes out the
    camera's motion and the light's. A pixel is new if it departs from that picture: a mouth that opens does, one that
    stays open or closes does not. New pixels are no surprise if there were as many in the last 0.4 s, if everything
    changes at once, or if their own steady motion had to bring them there. Onsets are the peaks of the surprise.

    Memory: one number for each frame, and some twenty small grey frames, however long the video is.

    Args:
        frames_per_second: rate of the frames that are added; the method was tried at 25. Frames that are repeated
            because the video itself has fewer do no harm.
        settings: numbers of the method.
        stabilisation: numbers of `StabilisedView`.

    Raises:
        ValueError: if `frames_per_second` is not positive.
    """

    def __init__(
        self,
        frames_per_second: float,
        settings: ActivitySettings = ActivitySettings(),
        stabilisation: StabilisationSettings = StabilisationSettings(),  # noqa: B008 - frozen
    ) -> None:
        if not frames_per_second > 0:
            raise ValueError(f"frames_per_second is {frames_per_second}, expected a positive number.")
        self._rate_hz, self._settings, self._stabilisation = frames_per_second, settings, stabilisation
        self._surprises = array("f")
        self._cuts_s: list[float] = []
        self._grey = np.zeros((0, 0))
        self._other_since: int | None = None

    def add(self, frame: np.ndarray, region: np.ndarray | None = None) -> None:
        """Takes the next frame.

        Args:
            frame: uint8 (height, width, 3), of any size; small ones are read faster.
            region: (rows, columns) in [0, 1], weight of the changes in each part of the frame, such as a class
                activation map; None is the whole frame.
        """
        number = len(self._surprises)
        self._surprises.append(0.0)
        previous, self._grey = self._grey, _small_grey(frame, self._settings.num_pixels)
        if previous.shape != self._grey.shape:
            self._start(number)
        elif self._other_since is not None or not np.array_equal(previous, self._grey):
            self._surprises[-1] = self._surprise(number, region)
            self._changed = number
        else:
            self._view.stay(number / self._rate_hz)
            if (
                number - self._changed > self._settings.still_s * self._rate_hz
            ):  # no mere repeat of a video with fewer frames
                self._recent.append(np.zeros([side // self._settings.block for side in self._grey.shape]))

    def finish(self) -> Activity:
        """The sudden changes in all frames that were added."""
        surprises = np.convolve(np.pad(self._surprises, 1), [0.25, 0.5, 0.25], mode="valid")
        times_s = np.arange(len(self._surprises)) / self._rate_hz
        surprises, curve = surprises[: len(times_s)], (surprises / (surprises + self._settings.half))[: len(times_s)]
        peaks, starts = _find_onsets(surprises, self._rate_hz, self._settings)
        return Activity(times_s, curve, times_s[starts], curve[peaks], np.array(self._cuts_s))

    def _start(self, number: int) -> None:
        self._view = StabilisedView(self._grey, number / self._rate_hz, self._stabilisation)
        self._recent: deque[np.ndarray] = deque(maxlen=max(2, round(self._settings.recent_s * self._rate_hz)))
        self._other_since = None
        self._changed = number

    def _surprise(self, number: int, region: np.ndarray | None) -> float:
        stabilised = self._view.stabilise(self._grey)
        if stabilised.likeness >= self._settings.same_picture:
            self._other_since = None
            surprise = self._judge(stabilised, region)
            self._view.accept(stabilised, number / self._rate_hz)
            return surprise
        if self._other_since is None:
            self._other_since = number
        elif number - self._other_since >= self._settings.confirm_s * self._rate_hz:
            self._cuts_s.append(self._other_since / self._rate_hz)
            self._start(number)
        return 0.0

    def _judge(self, stabilised: StabilisedFrame, region: np.ndarray | None) -> float:
        view, now, settings, block = self._view, stabilised.picture, self._settings, self._settings.block
        slope = np.maximum(view.slope, local_slope(now))
        unit = max(settings.min_noise, view.noise) + settings.light * abs(stabilised.brightening)
        unit = unit + settings.edge * slope
        departure = np.abs(now - view.rest) - np.abs(view.last - view.rest)
        new = np.maximum(departure, 0) / unit
        rows, columns = (side // block for side in now.shape)
        blocks = new[: rows * block, : columns * block].reshape(rows, block, columns, block).mean(axis=(1, 3))
        usual = np.median(self._recent, axis=0) if self._recent else blocks
        self._recent.append(maximum_filter(blocks, settings.neighbours))
        sudden = np.clip(blocks - usual - settings.everywhere * np.median(blocks), 0, settings.max_new)
        if region is not None:
            weights = Image.fromarray(np.asarray(region, np.float32))
            sudden *= np.asarray(weights.resize((columns, rows), Image.Resampling.BILINEAR))
        newest = np.argsort(sudden, axis=None)[-settings.num_blocks :]
        newest = newest[sudden.flat[newest] > 0.1 * settings.min_surprise]
        if not len(newest):
            return 0.0
        middles = np.stack(np.unravel_index(newest, sudden.shape)) * block + block // 2
        unforeseen = _unforeseen(view, now, new, unit, middles, settings)
        return float(np.linalg.norm(sudden.flat[newest] * unforeseen**settings.unforeseen_power))


def _unforeseen(
    view: StabilisedView,
    now: np.ndarray,
    new: np.ndarray,
    unit: np.ndarray,
    middles: np.ndarray,
    settings: ActivitySettings,
) -> np.ndarray:
    """Part, in [0, 1], of the new pixels around each middle that no steady motion foretold.

    A motion foretells a pixel if it brings the last frame to this one, and had brought the last but one to the last.

    Args:
        middles: (2, windows), row and column.
    """
    offsets, steps = (np.arange(-reach, reach + 1) for reach in (settings.window_reach, settings.max_step))
    tops = [
        (middle[:, np.newaxis] + offsets).clip(0, side - 1) for middle, side in zip(middles, now.shape, strict=True)
    ]

    def window(picture: np.ndarray, num_steps: int) -> np.ndarray:
        """(windows, steps down, steps right, rows, columns)"""
        moved = [
            (top[:, np.newaxis] - num_steps * steps[:, np.newaxis]).clip(0, side - 1)
            for top, side in zip(tops, picture.shape, strict=True)
        ]
        return picture[moved[0][:, :, np.newaxis, :, np.newaxis], moved[1][:, np.newaxis, :, np.newaxis, :]]

    last = window(view.last, 1)
    missed = np.maximum(np.abs(window(now, 0) - last), np.abs(last - window(view.last_but_one, 2)))
    whole = window(new, 0)[:, :1, :1]
    missed = np.minimum(missed / window(unit, 0)[:, :1, :1], whole).mean(axis=(3, 4))
    return missed.min(axis=(1, 2)) / np.maximum(whole.mean(axis=(1, 2, 3, 4)), 1e-6)


def _find_onsets(surprises: np.ndarray, rate_hz: float, settings: ActivitySettings) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the frames at which humps that stand out from those around them are highest, and start."""
    gap, reach = (max(1, round(length_s * rate_hz)) for length_s in (settings.min_gap_s, settings.around_s / 2))
    peaks, found = find_peaks(np.pad(surprises, 1), height=settings.min_surprise, distance=gap, prominence=0)
    chosen, starts = [], []
    for peak, rise in zip((peaks - 1).tolist(), found["prominences"], strict=True):
        height, around = surprises[peak], surprises[max(0, peak - reach) : peak + reach + 1]
        deviation = np.median(np.abs(around - np.median(around)))
        lowest = settings.min_surprise + np.median(around) + settings.num_deviations * deviation
        if height > lowest and rise > settings.min_rise * height:
            start = peak
            while start and settings.start * height < surprises[start - 1] < surprises[start]:
                start -= 1
            chosen.append(peak)
            starts.append(start)
    return np.array(chosen, dtype=int), np.array(starts, dtype=int)


def _small_grey(frame: np.ndarray, num_pixels: int) -> np.ndarray:
    height, width = frame.shape[:2]
    sides = np.sqrt(num_pixels * np.array([width / height, height / width])).round().clip(16, 240).astype(int)
    small = Image.fromarray(frame).convert("L").resize(tuple(sides.tolist()), Image.Resampling.BOX)
    return gaussian_filter(np.asarray(small, np.float32), 0.7)
