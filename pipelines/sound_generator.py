"""Sounds of a class from the codec and the two priors."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from itertools import islice, tee
from typing import Any

import numpy as np
import torch
from rich.progress import Progress
from torch import Tensor

from networks import CodePrior, Sampling, sample_codes, stream_columns
from networks.codec.codec import Codec
from networks.prior.best_of_n import stream_best_columns
from pipelines.generator import FromReal, Generator, Seed

DRAWS = {"top": 0, "bottom": 1, "grain": 2, "noise": 3}  # independent uses of a seed
MAX_ROWS = 64  # sequences drawn at once, candidates included


class SoundGenerator(Generator):
    """Draws codes and turns them into sound.

    Args:
        codec: decoder of the codes.
        top, bottom: fitted priors over its codes, on its device.
        sampling: how both priors are sampled.
        num_iterations: iterations of Griffin-Lim.
        num_candidates: openings drawn for each sound, see `networks.prior.best_of_n`.
        grain: share of the missing unevenness, see `Codec.with_grain`.
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
        self.rows_at_once = max(1, MAX_ROWS // num_candidates)

    @torch.inference_mode()
    def sound(self, label: int, seeds: list[Seed], num_samples: int) -> Iterator[np.ndarray]:
        """See `Generator.sound`."""
        num_columns = self.geometry.top_columns_of(num_samples)
        labels = torch.full((len(seeds),), label, device=self.codec.device)
        for_bottom, for_decoder = tee(islice(self._columns("top", labels, seeds), num_columns))
        bottom_columns = self._columns("bottom", labels, seeds, for_bottom)
        num_bottom_columns = num_columns * (self.geometry.top_stride // self.geometry.bottom_stride)
        with Progress(transient=True) as progress:
            bottom_columns = iter(progress.track(bottom_columns, num_bottom_columns, description="sampling codes"))
            pieces = self.codec.decode_columns(for_decoder, bottom_columns)
            num_left = num_samples
            pieces = self.codec.with_grain(pieces, row_seeds(seeds, "grain"), self.grain)
            for piece in self.codec.spectrogram.invert_pieces(pieces, self.num_iterations):
                waveforms = piece[:, :num_left].cpu().float().numpy()
                num_left -= waveforms.shape[1]
                yield waveforms

    def settings(self) -> dict[str, Any]:
        """See `Generator.settings`."""
        return {
            "num_candidates": self.num_candidates,
            "grain": self.grain,
            "num_iterations": self.num_iterations,
            "sampling": asdict(self.sampling),
        }

    def from_real(self) -> Mapping[str, FromReal]:
        """Each row replaces one more step by a model."""
        decoding = ("seed", "grain", "num_iterations")
        return {
            "inverted": FromReal(self._invert, (), ("num_iterations",)),
            "reconstructed": FromReal(self._reconstruct, ("vqvae",), decoding),
            "real_top_codes": FromReal(self._draw_bottom, ("vqvae", "bottom"), ("sampling", *decoding)),
        }

    def codes(self, waveform: Tensor) -> dict[str, Tensor]:
        """Flattened codes (batch, codes) of both levels."""
        return dict(zip(("top_codes", "bottom_codes"), self.codec.encode(waveform), strict=True))

    def _invert(self, waveform: Tensor, label: int, seeds: list[Seed]) -> Tensor:
        return self.codec.spectrogram.invert(self.codec.spectrogram(waveform), self.num_iterations)

    def _reconstruct(self, waveform: Tensor, label: int, seeds: list[Seed]) -> Tensor:
        decoded = self.codec.network(self.codec.spectrogram(waveform)).reconstruction.float()
        return self._waveform(decoded, seeds)

    def _draw_bottom(self, waveform: Tensor, label: int, seeds: list[Seed]) -> Tensor:
        bottom = self.priors["bottom"]
        top_codes, _ = self.codec.encode(waveform)
        labels = torch.full((len(seeds),), label, device=top_codes.device)
        rows = row_seeds(seeds, "bottom")
        bottom_codes = sample_codes(bottom, labels, bottom.num_columns, rows, self.sampling, top_codes)
        return self._waveform(self.codec.decode(top_codes, bottom_codes), seeds)

    def _waveform(self, decoded: Tensor, seeds: list[Seed]) -> Tensor:
        return self.codec.invert(decoded, row_seeds(seeds, "grain"), self.grain, self.num_iterations)

    def _columns(
        self, level: str, labels: Tensor, seeds: list[Seed], top_columns: Iterator[Tensor] | None = None
    ) -> Iterator[Tensor]:
        prior, sampling = self.priors[level], self.sampling
        if level == "bottom":
            return stream_columns(prior, labels, row_seeds(seeds, level), sampling, top_columns)
        candidates = zip(*(row_seeds(seeds, level, number) for number in range(self.num_candidates)), strict=True)
        return stream_best_columns(prior, labels, [list(seeds_of_row) for seeds_of_row in candidates], sampling)


def row_seeds(seeds: list[Seed], draw: str, candidate: int = 0) -> list[int]:
    """Seeds of one draw of each row, independent of its other draws."""
    spawn_key = (candidate,) if candidate else ()
    sequences = [np.random.SeedSequence([*seed, DRAWS[draw]], spawn_key=spawn_key) for seed in seeds]
    return [int(sequence.generate_state(1)[0]) for sequence in sequences]
