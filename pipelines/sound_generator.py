"""Sounds of a class, drawn from the networks that make them."""

from collections.abc import Iterator
from itertools import islice, tee

import numpy as np
import torch
from rich.progress import Progress
from torch import Tensor

from media.sound.events import Event, EventPool
from networks import CodePrior, Sampling, stream_columns
from networks.codec.codec import Codec
from networks.prior.best_of_n import stream_best_columns

DRAWS = {"top": 0, "bottom": 1, "grain": 2, "noise": 3}  # what a seed is used for, each as if with one of its own
WINDOWS_AT_ONCE = 4
MAX_WINDOWS = 12
MAX_ROWS = 64  # that are drawn at once, candidates included


class SoundGenerator:
    """Draws codes, decodes and inverts them, for several seeds in one batch; each seed sounds as it does alone.

    Args:
        codec: turns codes into sound, on the device that is to be used.
        top, bottom: fitted priors over the codec's codes, on the same device.
        sampling: how both priors are sampled.
        num_iterations: iterations of Griffin-Lim.
        num_candidates: beginnings of top codes that are drawn for each sound, of which the one that is most plainly of
            its class is kept; see `networks.prior.best_of_n`.
        grain: share of the unevenness missing from a decoded spectrogram that is put back; see `Codec.with_grain`.
    """

    def __init__(
        self,
        codec: Codec,
        top: CodePrior,
        bottom: CodePrior,
        sampling: Sampling,
        num_iterations: int,
        num_candidates: int = 1,
        grain: float = 1.0,
    ) -> None:
        self.codec, self.priors = codec, {"top": top, "bottom": bottom}
        self.sampling, self.num_iterations = sampling, num_iterations
        self.num_candidates, self.grain = num_candidates, grain
        self.geometry = codec.geometry

    @torch.inference_mode()
    def sound(self, label: int, seeds: list[tuple[int, ...]], num_samples: int) -> Iterator[np.ndarray]:
        """Sound without a pause, in constant memory.

        Args:
            label: the class.
            seeds: numbers that a row's randomness comes from, one tuple a row.
            num_samples: of each row.

        Yields:
            float32 (rows, samples), together `num_samples`.
        """
        num_columns = self.geometry.top_columns_of(num_samples)
        labels = torch.full((len(seeds),), label, device=self.codec.device)
        for_bottom, for_decoder = tee(islice(self._columns("top", labels, seeds), num_columns))
        bottom_columns = self._columns("bottom", labels, seeds, for_bottom)
        num_bottom_columns = num_columns * self.priors["bottom"].top_context.scale
        with Progress(transient=True) as progress:
            bottom_columns = progress.track(bottom_columns, num_bottom_columns, description="sampling codes")
            pieces = self.codec.decode_columns(for_decoder, bottom_columns)
            num_left = num_samples
            pieces = self.codec.with_grain(pieces, [row_seed(seed, "grain") for seed in seeds], self.grain)
            for piece in self.codec.spectrogram.invert_pieces(pieces, self.num_iterations):
                piece = piece[:, :num_left].cpu().float().numpy()
                num_left -= piece.shape[1]
                yield piece

    def windows(self, label: int, seeds: list[tuple[int, ...]]) -> np.ndarray:
        """A window of sound for each seed: float32 (rows, window_samples); as many at once as fit memory."""
        size = max(1, MAX_ROWS // self.num_candidates)
        parts = [seeds[first : first + size] for first in range(0, len(seeds), size)]
        return np.concatenate(
            [np.concatenate([*self.sound(label, part, self.geometry.window_samples)], axis=1) for part in parts]
        )

    def events(self, label: int, seeds: list[int]) -> list[list[Event]]:
        """Single events of a class, those that stand out most first; none for a seed whose sound has no events.

        Windows are drawn, several at once, until every seed has events to choose from, or has had its share.
        """
        pools = [EventPool(self.geometry.sample_rate_hz, max_s=MAX_WINDOWS * self.geometry.window_s) for _ in seeds]
        num_windows = 0
        while not all(pool.is_enough for pool in pools):
            windows = range(num_windows, num_windows + WINDOWS_AT_ONCE)
            sound = self.windows(label, [(seed, label, window) for seed in seeds for window in windows])
            for pool, part in zip(pools, np.split(sound, len(seeds)), strict=True):
                if not pool.is_enough:  # so that a seed gets the same events alone
                    for window in part:
                        pool.add(window)
            num_windows += WINDOWS_AT_ONCE
        return [pool.best() for pool in pools]

    def _columns(
        self,
        level: str,
        labels: Tensor,
        seeds: list[tuple[int, ...]],
        top_columns: Iterator[Tensor] | None = None,
    ) -> Iterator[Tensor]:
        if level == "top":
            candidates = [
                [row_seed(seed, level, candidate) for candidate in range(self.num_candidates)] for seed in seeds
            ]
            return stream_best_columns(self.priors[level], labels, candidates, self.sampling)
        rows = [row_seed(seed, level) for seed in seeds]
        return stream_columns(self.priors[level], labels, rows, self.sampling, top_columns)


def row_seed(seed: tuple[int, ...], draw: str, candidate: int = 0) -> int:
    """The seed of one draw of a row, independent of those of its other draws."""
    sequence = np.random.SeedSequence([*seed, DRAWS[draw]], spawn_key=(candidate,) if candidate else ())
    return int(sequence.generate_state(1)[0])
