"""How much better than chance onsets in the picture match those of the sound."""

import torch
from torch import Tensor
from torchmetrics import Metric

from media.video.moments import MomentSettings, find_moments
from media.video.motion import RATE_HZ
from metrics.event_timing import Recording, measure_timing

THRESHOLDS = (0.05, 0.08, 0.12, 0.16, 0.2, 0.25, 0.3, 0.4, 0.5)
NUM_SHIFTS = 40
ANY_FILM = MomentSettings(sure=1e-6)


class OnsetLift(Metric):
    """Mean over films of F1 less that of shifted onsets, at each threshold of `THRESHOLDS`.

    Why not F1: dense onsets hit by chance. Films of which the network is not sure count, too.

    Args:
        rate_hz: frames a second.
        tolerance_s: largest distance of a hit.
    """

    full_state_update = False
    f1: Tensor
    lift: Tensor
    num_films: Tensor

    def __init__(self, rate_hz: float = RATE_HZ, tolerance_s: float = 0.08) -> None:
        super().__init__()
        self.rate_hz, self.tolerance_s = rate_hz, tolerance_s
        for name in ("f1", "lift"):
            self.add_state(name, torch.zeros(len(THRESHOLDS), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("num_films", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, probabilities: Tensor, onsets_s: Tensor) -> None:
        """Adds a film.

        Args:
            probabilities: (frames,) in [0, 1].
            onsets_s: (onsets,) of the sound, in rising order.
        """
        curve, events_s = probabilities.double().cpu().numpy(), onsets_s.double().cpu().numpy()
        for index, threshold in enumerate(THRESHOLDS):
            found_s = find_moments(curve, self.rate_hz, threshold, ANY_FILM) / self.rate_hz
            recording = Recording(events_s, found_s, len(curve) / self.rate_hz)
            figures = measure_timing([recording], self.tolerance_s, NUM_SHIFTS)
            self.f1[index] += figures.f1
            self.lift[index] += figures.f1 - figures.shifted_f1
        self.num_films += 1

    def compute(self) -> dict[str, Tensor]:
        """`lift` and `f1`, (thresholds,) means over films."""
        return {name: (getattr(self, name) / self.num_films).float() for name in ("lift", "f1")}
