"""The moments at which something is heard, found by a fitted network while a clip is read."""

from dataclasses import replace

import numpy as np

from media.video.activity import Activity
from media.video.moments import MomentSettings, find_moments
from media.video.motion import RATE_HZ, MotionMeter
from networks.vision.moments import MomentNetwork

PIECE_FRAMES = 1500  # a minute, like the films of a fit
MARGIN_FRAMES = 20  # to each side of a frame, which the network sees
CUT_S = 0.1  # around a cut, within which a change is no movement


class MomentFinder:
    """Finds onsets frame by frame, in constant memory but for a number for each frame.

    Args:
        network: fitted network, in evaluation mode.
        rate_hz: frames a second, those that networks are fitted on.
        settings: how onsets are picked.

    Attributes:
        remark: how sure the network was of the film, after `finish`.

    Raises:
        ValueError: if the rate is another one.
    """

    remark: str

    def __init__(
        self,
        network: MomentNetwork,
        rate_hz: float = RATE_HZ,
        settings: MomentSettings = MomentSettings(),  # noqa: B008 - frozen
    ) -> None:
        if rate_hz != RATE_HZ:
            raise ValueError(
                f"frames_per_second is {rate_hz:g}, but networks of moments are fitted on {RATE_HZ} frames a second. "
                f"Set --data.frames_per_second {RATE_HZ}, or leave --model.moments null."
            )
        self.network, self.settings = network, settings
        self._meter = MotionMeter()
        self._motion: list[np.ndarray] = []
        self._known: list[np.ndarray] = []
        self._num_before = 0  # frames of `_motion` whose probability is known

    def add(self, frame: np.ndarray) -> None:
        """Processes the next frame, uint8 (height, width, 3)."""
        self._meter.add(frame)
        self._motion.extend(self._meter.take())
        if len(self._motion) >= PIECE_FRAMES:
            self._look(MARGIN_FRAMES)

    def finish(self, activity: Activity) -> Activity:
        """The activity with onsets, strengths and curve of the network, and the cuts that it had.

        It has no onsets if the network is not sure of any.
        """
        self._motion.extend(self._meter.take(is_end=True))
        self._look(0)
        curve = np.concatenate(self._known)
        frames = find_moments(curve, RATE_HZ, float(self.network.threshold), self.settings)
        near_cut = np.abs(np.subtract.outer(frames / RATE_HZ, activity.cuts_s)) <= CUT_S
        frames = frames[~near_cut.any(axis=1)]
        self.remark = (
            f"{len(frames)} moments, the surest with {curve.max():.2f} (at least {self.settings.sure} is needed)"
        )
        return replace(activity, curve=curve, onsets_s=frames / RATE_HZ, strengths=curve[frames])

    def _look(self, num_left: int) -> None:
        """Finds the probabilities of all frames but the last `num_left`, which wait for those after them."""
        motion = np.stack(self._motion)
        until = len(motion) - num_left
        self._known.append(self.network.find_probabilities(motion)[self._num_before : until])
        self._motion = self._motion[max(0, until - MARGIN_FRAMES) :]
        self._num_before = min(until, MARGIN_FRAMES)
