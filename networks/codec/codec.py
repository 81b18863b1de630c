"""From waveforms to codes and back."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice

import torch
from torch import Tensor

from media import Geometry, Spectrogram
from media.sound.grain import add_grain
from networks.codec.code_grid import flatten_codes, unflatten_codes
from networks.codec.vqvae2 import VQVAE2
from runtime.checkpoint import fingerprint


@dataclass(frozen=True)
class Codec:
    """A fitted VQ-VAE-2 with its spectrogram and grain: all of it that priors and generators use.

    Args:
        network: the autoencoder, in evaluation mode.
        geometry: sizes of window, spectrogram and grids.
        residual_db: (bins,) the network's error on held-out sounds in dB, see `with_grain`.
    """

    network: VQVAE2
    geometry: Geometry
    residual_db: Tensor

    @cached_property
    def spectrogram(self) -> Spectrogram:
        """Turns waveforms into the network's input."""
        return Spectrogram(self.geometry)

    @property
    def device(self) -> torch.device:
        """Device of the network, which may have been moved as a part of a module."""
        return self.network.to_top.weight.device

    def to(self, device: torch.device) -> "Codec":
        """Returns the codec on another device. The network itself is moved."""
        return replace(self, network=self.network.to(device), residual_db=self.residual_db.to(device))

    def encode(self, waveform: Tensor) -> tuple[Tensor, Tensor]:
        """Waveforms (batch, samples) → flattened top and bottom codes (batch, length)."""
        top, bottom = self.network.encode(self.spectrogram(waveform))
        return flatten_codes(top.codes), flatten_codes(bottom.codes)

    def decode(self, top_codes: Tensor, bottom_codes: Tensor) -> Tensor:
        """Flattened top and bottom codes of any length → spectrogram (batch, 1, bins, frames)."""
        top = unflatten_codes(top_codes, self.geometry.top_shape[0])
        bottom = unflatten_codes(bottom_codes, self.geometry.bottom_shape[0])
        return self.network.decode_codes(top, bottom).float()

    def decode_coarsely(self, top_codes: Tensor) -> Tensor:
        """Flattened top codes of any length → coarse spectrogram, see `VQVAE2.decode_top_codes`."""
        return self.network.decode_top_codes(unflatten_codes(top_codes, self.geometry.top_shape[0])).float()

    def decode_columns(
        self, top_columns: Iterator[Tensor], bottom_columns: Iterator[Tensor], num_top_columns: int = 30
    ) -> Iterator[Tensor]:
        """Columns of codes (batch, rows) of both levels → pieces (batch, 1, bins, frames) of the spectrogram.

        The pieces, of `num_top_columns` each, equal a spectrogram that is decoded as a whole.
        """
        scale = self.geometry.top_stride // self.geometry.bottom_stride
        reach = self.network.reach
        before: list[Tensor] = []
        coming: list[Tensor] = []
        while True:
            for top in islice(top_columns, num_top_columns + reach - len(coming)):
                coming.append(torch.cat([top, *islice(bottom_columns, scale)], dim=1))
            if not coming:
                return
            seen = torch.stack(before + coming, dim=1)
            top_rows = self.geometry.top_shape[0]
            picture = self.decode(seen[..., :top_rows].flatten(1), seen[..., top_rows:].flatten(1))
            first = len(before) * self.geometry.top_stride
            yield picture[..., first : first + num_top_columns * self.geometry.top_stride]
            before, coming = (before + coming[:num_top_columns])[-reach:], coming[num_top_columns:]

    def with_grain(self, pieces: Iterable[Tensor], seeds: Sequence[int], strength: float = 1.0) -> Iterator[Tensor]:
        """Consecutive decoded pieces (batch, 1, bins, frames) → the same pieces, as uneven as real sounds.

        A decoded spectrogram is the mean of all sounds with its codes. They vary about it by as much as the network's
        error on held-out sounds, in each frequency bin. See `media.sound.grain`.

        Args:
            seeds: seed of each row's grain.
            strength: share of the missing variation that is added, from 0 to 1.
        """
        return add_grain(pieces, self.residual_db, self.geometry, seeds, strength)

    def invert(
        self, spectrogram: Tensor, seeds: Sequence[int], strength: float = 1.0, num_iterations: int = 64
    ) -> Tensor:
        """Decoded spectrogram (batch, 1, bins, frames) → waveform (batch, samples) in [-1, 1], by Griffin-Lim.

        `seeds` and `strength` are of its grain, see `with_grain`.
        """
        return self.spectrogram.invert(next(self.with_grain([spectrogram], seeds, strength)), num_iterations)

    def fingerprint(self) -> str:
        """Hash of both codebooks, which give the codes their meaning; the same on every machine."""
        return fingerprint({level: getattr(self.network, f"quantize_{level}").codebook for level in ("top", "bottom")})
