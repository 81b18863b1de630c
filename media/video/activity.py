"""Sudden events in the picture: a mouth opens, a paw strikes."""

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
    """How sudden local changes are distinguished from all others.

    The defaults were chosen on films of benchmarks/moving_animal.py with seeds from 100, see benchmarks/timing.py.
    All values have to be positive.
    """

    num_pixels: int = 3600  # pixels of the small grey frames, 80 × 45 for a film of 16:9
    block: int = 5  # side in pixels of the blocks in which novelty is averaged
    same_picture: float = 0.5  # likeness below which a frame shows another picture
    confirm_s: float = 0.16  # another picture that stays this long followed a cut; a flash is shorter
    recent_s: float = 0.4  # time over which the usual novelty of a block is measured
    still_s: float = 0.2  # time without a change after which the picture is still, not just repeated
    neighbours: int = 3  # side in blocks of the area in which motion continues from frame to frame
    edge: float = 0.5  # shift in pixels that counts as noise
    min_noise: float = 1.0  # grey levels
    light: float = 0.4  # grey levels that count as noise, for each by which the whole picture brightens or darkens
    everywhere: float = 3.0  # multiple of the whole picture's median change that is subtracted from each block
    max_new: float = 1.0  # highest novelty of a block
    num_blocks: int = 4  # blocks of highest novelty, which make the figure of a frame
    window_reach: int = 4  # pixels to each side of a block's middle
    max_step: int = 4  # longest motion in pixels, from frame to frame
    unforeseen_power: int = 3  # exponent of the unforeseen part
    half: float = 0.2  # surprise at half the curve's height
    min_surprise: float = 0.06  # lowest peak
    num_deviations: float = 3.0  # median deviations by which a peak exceeds its surroundings
    min_rise: float = 0.6  # prominence of a peak, as a part of its height
    around_s: float = 2.0  # length of a peak's surroundings
    min_gap_s: float = 0.24  # time between peaks
    start: float = 0.25  # part of a peak's height at which its onset starts

    def __post_init__(self) -> None:
        check_positive(self)


@dataclass(frozen=True)
class Activity:
    """Sudden changes in a video."""

    times_s: np.ndarray  # (frames,) times of the frames, from 0
    curve: np.ndarray  # (frames,) in [0, 1), how sudden the changes are; 0 for a steady motion, however large
    onsets_s: np.ndarray  # (onsets,) times at which something sudden starts, in rising order
    strengths: np.ndarray  # (onsets,) in (0, 1], heights of the curve shortly afterwards
    cuts_s: np.ndarray  # (cuts,) times of the first frames of another picture


class ActivityMeter:
    """Finds sudden local changes frame by frame, as when an animal opens its mouth, in constant memory.

    How: each frame is shrunk and aligned with the picture of the last seconds (see `StabilisedView`), which removes
    changes of camera and light. A pixel is new if it departs from that picture: in a mouth that opens, but not in one
    that stays open or closes. New pixels are no surprise if there were as many in the last 0.4 s, if everything changes
    at once, or if their own steady motion foretold them. Onsets are the peaks of the surprise.

    Args:
        frames_per_second: rate of the frames; tested at 25. Repeated frames of a video with a lower rate do no harm.
        settings: settings of the method.
        stabilisation: settings of `StabilisedView`.

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
        """Processes the next frame.

        Args:
            frame: uint8 (height, width, 3), of any size.
            region: (rows, columns) in [0, 1], weights of the changes in each part of the frame, such as a class
                activation map; None is the whole frame.
        """
        number = len(self._surprises)
        self._surprises.append(0.0)
        previous, self._grey = self._grey, _small_grey(frame, self._settings.num_pixels)
        if previous.shape != self._grey.shape:
            self._start(number)
        elif self._other_since is not None or not np.array_equal(previous, self._grey):
            self._surprises[-1] = self._measure_surprise(number, region)
            self._changed = number
        else:
            self._view.stay(number / self._rate_hz)
            if number - self._changed > self._settings.still_s * self._rate_hz:
                self._recent.append(np.zeros([side // self._settings.block for side in self._grey.shape]))

    def finish(self) -> Activity:
        """Returns the sudden changes in all frames."""
        times_s = np.arange(len(self._surprises)) / self._rate_hz
        surprises = np.convolve(np.pad(self._surprises, 1), [0.25, 0.5, 0.25], mode="valid")[: len(times_s)]
        curve = surprises / (surprises + self._settings.half)
        peaks, starts = _find_onsets(surprises, self._rate_hz, self._settings)
        return Activity(times_s, curve, times_s[starts], curve[peaks], np.array(self._cuts_s))

    def _start(self, number: int) -> None:
        self._view = StabilisedView(self._grey, number / self._rate_hz, self._stabilisation)
        self._recent: deque[np.ndarray] = deque(maxlen=max(2, round(self._settings.recent_s * self._rate_hz)))
        self._other_since = None
        self._changed = number

    def _measure_surprise(self, number: int, region: np.ndarray | None) -> float:
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
        noise = max(settings.min_noise, view.noise) + settings.light * abs(stabilised.brightening)
        unit = noise + settings.edge * np.maximum(view.slope, local_slope(now))
        new = np.maximum(np.abs(now - view.rest) - np.abs(view.last - view.rest), 0) / unit
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
        unforeseen = self._find_unforeseen(now, new, unit, middles)
        return float(np.linalg.norm(sudden.flat[newest] * unforeseen**settings.unforeseen_power))

    def _find_unforeseen(self, now: np.ndarray, new: np.ndarray, unit: np.ndarray, middles: np.ndarray) -> np.ndarray:
        """Finds which part, in [0, 1], of the new pixels around each middle (2, windows) no steady motion foretold.

        A motion foretells a pixel if it moves the last frame to this one, and the last but one to the last.
        """
        reach, max_step = self._settings.window_reach, self._settings.max_step
        offsets, steps = np.arange(-reach, reach + 1), np.arange(-max_step, max_step + 1)[:, np.newaxis]
        sides = np.array(now.shape)[:, np.newaxis, np.newaxis]
        pixels = (middles[..., np.newaxis] + offsets).clip(0, sides - 1)[:, :, np.newaxis]

        def windows(picture: np.ndarray, num_steps: int) -> np.ndarray:
            """(windows, steps down, steps right, rows, columns)"""
            rows, columns = (pixels - num_steps * steps).clip(0, sides[..., np.newaxis] - 1)
            return picture[rows[:, :, np.newaxis, :, np.newaxis], columns[:, np.newaxis, :, np.newaxis]]

        last = windows(self._view.last, 1)
        missed = np.maximum(np.abs(windows(now, 0) - last), np.abs(last - windows(self._view.last_but_one, 2)))
        whole = windows(new, 0)[:, :1, :1]
        missed = np.minimum(missed / windows(unit, 0)[:, :1, :1], whole).mean(axis=(3, 4))
        return missed.min(axis=(1, 2)) / np.maximum(whole.mean(axis=(1, 2, 3, 4)), 1e-6)


def _find_onsets(surprises: np.ndarray, rate_hz: float, settings: ActivitySettings) -> np.ndarray:
    """Finds (2, onsets): the frames of prominent peaks, and those at which their onsets start."""
    gap, reach = (max(1, round(length_s * rate_hz)) for length_s in (settings.min_gap_s, settings.around_s / 2))
    peaks, found = find_peaks(np.pad(surprises, 1), height=settings.min_surprise, distance=gap, prominence=0)
    onsets = []
    for peak, rise in zip((peaks - 1).tolist(), found["prominences"], strict=True):
        height, around = surprises[peak], surprises[max(0, peak - reach) : peak + reach + 1]
        deviation = np.median(np.abs(around - np.median(around)))
        lowest = settings.min_surprise + np.median(around) + settings.num_deviations * deviation
        if height > lowest and rise > settings.min_rise * height:
            start = peak
            while start and settings.start * height < surprises[start - 1] < surprises[start]:
                start -= 1
            onsets.append((peak, start))
    return np.array(onsets, dtype=int).reshape(-1, 2).T


def _small_grey(frame: np.ndarray, num_pixels: int) -> np.ndarray:
    height, width = frame.shape[:2]
    sides = np.sqrt(num_pixels * np.array([width / height, height / width])).round().clip(16, 240).astype(int)
    small = Image.fromarray(frame).convert("L").resize(tuple(sides.tolist()), Image.Resampling.BOX)
    return gaussian_filter(np.asarray(small, np.float32), 0.7)
