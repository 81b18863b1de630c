"""When something sudden happens in the picture: a mouth opens, a paw strikes."""

from array import array
from collections import deque
from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter, maximum_filter
from scipy.signal import find_peaks

from media.video.stabilisation import SteadiedFrame, SteadyView, local_slope

# Chosen on the films of benchmarks/moving_animal.py from seed 100 on; `python -m benchmarks.timing` measures others.
NUM_PIXELS = 3600  # of the small grey frames, 80 × 45 for a film of 16:9
BLOCK = 5  # side in pixels; what is new is judged block by block
SAME_PICTURE = 0.5  # frames less like the ones before show something else
CONFIRM_S = 0.16  # what is something else for so long came with a cut; a flash is shorter
RECENT_S = 0.4
STILL_S = 0.2
NEIGHBOURS = 3  # blocks; what moves on comes from one of these
EDGE = 0.5  # a shift by so many pixels is as little as the noise
MIN_NOISE = 1.0  # grey levels
LIGHT = 0.4  # grey levels that are no change for each by which all the picture grows brighter or darker
EVERYWHERE = 3.0  # what changes is local, or else it counts only above so many times the change of the whole
MAX_NEW = 1.0  # no block counts for more
NUM_BLOCKS = 4  # the newest, which make the figure of a frame
WINDOW_REACH, MAX_STEP = 4, 4  # pixels: around a block's middle, and for one step of a motion
UNFORESEEN_POWER = 3
HALF = 0.2  # surprise that is drawn at half the curve's height
MIN_SURPRISE, NUM_DEVIATIONS, MIN_RISE = 0.06, 3.0, 0.6  # of a hump, above its AROUND_S, and of its own height
AROUND_S = 2.0
MIN_GAP_S = 0.24
START = 0.25  # an onset begins where the curve's hump has this part of its height


@dataclass(frozen=True)
class Activity:
    """What happened in a video.

    Attributes:
        times_s: (frames,) of the frames, from 0.
        curve: (frames,) in [0, 1), how sudden what happens is; 0 where nothing does, however much goes steadily on.
        onsets_s: (onsets,) when something sudden begins, in rising order.
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

    How: each frame is shrunk and laid on the picture of the last seconds (see `SteadyView`), which takes out the
    camera's motion and the light's. New is where a pixel departs from that picture: a mouth that opens does, one that
    stays open or closes does not. What then goes on as it did in the last 0.4 s, changes everywhere at once, or lies
    where its own steady motion had to bring it is no surprise. Onsets are the peaks of what remains.

    Memory: one number for each frame, and some twenty small grey frames, however long the video is.

    Args:
        frames_per_second: of the frames that are added; 25 is what the method was tried at. Frames that are repeated
            because the video itself has fewer do no harm.

    Raises:
        ValueError: where `frames_per_second` is not positive.
    """

    def __init__(self, frames_per_second: float) -> None:
        if not frames_per_second > 0:
            raise ValueError(f"frames_per_second is {frames_per_second}, expected a positive number.")
        self._rate_hz = frames_per_second
        self._surprises = array("f")
        self._cuts_s: list[float] = []
        self._grey = np.zeros((0, 0))
        self._other_since: int | None = None

    def add(self, frame: np.ndarray, region: np.ndarray | None = None) -> None:
        """Take the next frame.

        Args:
            frame: uint8 (height, width, 3), of any size; small ones are read faster.
            region: (rows, columns) in [0, 1], where in the frame what happens counts, such as a class activation map;
                None is the whole frame.
        """
        number = len(self._surprises)
        self._surprises.append(0.0)
        previous, self._grey = self._grey, _small_grey(frame)
        if previous.shape != self._grey.shape:
            self._begin(number)
        elif self._other_since is not None or not np.array_equal(previous, self._grey):
            self._surprises[-1] = self._surprise(number, region)
            self._changed = number
        else:
            self._view.stay(number / self._rate_hz)
            if number - self._changed > STILL_S * self._rate_hz:  # no mere repeat of a video with fewer frames
                self._recent.append(np.zeros([side // BLOCK for side in self._grey.shape]))

    def finish(self) -> Activity:
        """What happened in all frames that were added."""
        surprises = np.convolve(np.pad(self._surprises, 1), [0.25, 0.5, 0.25], mode="valid")
        times_s = np.arange(len(self._surprises)) / self._rate_hz
        surprises, curve = surprises[: len(times_s)], (surprises / (surprises + HALF))[: len(times_s)]
        peaks, starts = _find_onsets(surprises, self._rate_hz)
        return Activity(times_s, curve, times_s[starts], curve[peaks], np.array(self._cuts_s))

    def _begin(self, number: int) -> None:
        self._view = SteadyView(self._grey, number / self._rate_hz)
        self._recent: deque[np.ndarray] = deque(maxlen=max(2, round(RECENT_S * self._rate_hz)))
        self._other_since = None
        self._changed = number

    def _surprise(self, number: int, region: np.ndarray | None) -> float:
        steadied = self._view.steady(self._grey)
        if steadied.likeness >= SAME_PICTURE:
            self._other_since = None
            surprise = self._judge(steadied, region)
            self._view.accept(steadied, number / self._rate_hz)
            return surprise
        if self._other_since is None:
            self._other_since = number
        elif number - self._other_since >= CONFIRM_S * self._rate_hz:
            self._cuts_s.append(self._other_since / self._rate_hz)
            self._begin(number)
        return 0.0

    def _judge(self, steadied: SteadiedFrame, region: np.ndarray | None) -> float:
        view, now = self._view, steadied.picture
        slope = np.maximum(view.slope, local_slope(now))
        unit = max(MIN_NOISE, view.noise) + LIGHT * abs(steadied.brightening) + EDGE * slope
        departure = np.abs(now - view.rest) - np.abs(view.last - view.rest)
        new = np.maximum(departure, 0) / unit
        rows, columns = (side // BLOCK for side in now.shape)
        blocks = new[: rows * BLOCK, : columns * BLOCK].reshape(rows, BLOCK, columns, BLOCK).mean(axis=(1, 3))
        usual = np.median(self._recent, axis=0) if self._recent else blocks
        self._recent.append(maximum_filter(blocks, NEIGHBOURS))
        sudden = np.clip(blocks - usual - EVERYWHERE * np.median(blocks), 0, MAX_NEW)
        if region is not None:
            weights = Image.fromarray(np.asarray(region, np.float32))
            sudden *= np.asarray(weights.resize((columns, rows), Image.Resampling.BILINEAR))
        newest = np.argsort(sudden, axis=None)[-NUM_BLOCKS:]
        newest = newest[sudden.flat[newest] > 0.1 * MIN_SURPRISE]
        if not len(newest):
            return 0.0
        middles = np.stack(np.unravel_index(newest, sudden.shape)) * BLOCK + BLOCK // 2
        unforeseen = _unforeseen(view, now, new, unit, middles)
        return float(np.linalg.norm(sudden.flat[newest] * unforeseen**UNFORESEEN_POWER))


def _unforeseen(
    view: SteadyView, now: np.ndarray, new: np.ndarray, unit: np.ndarray, middles: np.ndarray
) -> np.ndarray:
    """Part, in [0, 1], of what is new around each middle that no steady motion foretold.

    A motion foretells a pixel where it brings the last frame to this one, and had brought the last but one to the last.

    Args:
        middles: (2, windows), row and column.
    """
    offsets, steps = np.arange(-WINDOW_REACH, WINDOW_REACH + 1), np.arange(-MAX_STEP, MAX_STEP + 1)
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


def _find_onsets(surprises: np.ndarray, rate_hz: float) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the frames at which humps that stand out from those around them are highest, and begin."""
    gap, reach = (max(1, round(length_s * rate_hz)) for length_s in (MIN_GAP_S, AROUND_S / 2))
    peaks, found = find_peaks(np.pad(surprises, 1), height=MIN_SURPRISE, distance=gap, prominence=0)
    chosen, starts = [], []
    for peak, rise in zip((peaks - 1).tolist(), found["prominences"], strict=True):
        height, around = surprises[peak], surprises[max(0, peak - reach) : peak + reach + 1]
        deviation = np.median(np.abs(around - np.median(around)))
        if height > MIN_SURPRISE + np.median(around) + NUM_DEVIATIONS * deviation and rise > MIN_RISE * height:
            start = peak
            while start and START * height < surprises[start - 1] < surprises[start]:
                start -= 1
            chosen.append(peak)
            starts.append(start)
    return np.array(chosen, dtype=int), np.array(starts, dtype=int)


def _small_grey(frame: np.ndarray) -> np.ndarray:
    height, width = frame.shape[:2]
    sides = np.sqrt(NUM_PIXELS * np.array([width / height, height / width])).round().clip(16, 240).astype(int)
    small = Image.fromarray(frame).convert("L").resize(tuple(sides.tolist()), Image.Resampling.BOX)
    return gaussian_filter(np.asarray(small, np.float32), 0.7)
