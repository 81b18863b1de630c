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
    """Spectrogram, VQ-VAE-2 and grain as one: all that priors and generators need to know of a fitted VQ-VAE.

    Args:
        network: the autoencoder, in evaluation mode.
        geometry: of window, spectrogram and grids.
        residual_db: (bins,) size of the network's error on held-out sounds, see `with_grain`.
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
        """Device of the network, which may have moved as a part of something else."""
        return self.network.to_top.weight.device

    def to(self, device: torch.device) -> "Codec":
        """The codec on another device; the network itself moves."""
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
        """Flattened top codes of any length → the coarse spectrogram that they stand for without bottom codes."""
        return self.network.decode_top_codes(unflatten_codes(top_codes, self.geometry.top_shape[0])).float()

    def decode_columns(
        self, top_columns: Iterator[Tensor], bottom_columns: Iterator[Tensor], num_top_columns: int = 30
    ) -> Iterator[Tensor]:
        """Endless columns of codes (batch, rows) → pieces of the spectrogram, equal to one that is decoded as a whole.

        Args:
            top_columns: columns of the top level.
            bottom_columns: columns of the bottom level, as many as belong to the top columns.
            num_top_columns: top columns of each piece.

        Yields:
            (batch, 1, bins, frames).
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
        """Consecutive decoded pieces (batch, 1, bins, frames) → the same, as uneven as the sounds they stand for.

        A decoded spectrogram is the mean of all that its codes may mean. The variation about that mean is as large as
        the error on held-out sounds, in each frequency bin. See `media.sound.grain`.

        Args:
            pieces: pieces of one spectrogram.
            seeds: seed of the grain of each row.
            strength: 1 puts back all that is missing, 0 nothing.
        """
        return add_grain(pieces, self.residual_db, self.geometry, seeds, strength)

    def invert(
        self, spectrogram: Tensor, seeds: Sequence[int], strength: float = 1.0, num_iterations: int = 64
    ) -> Tensor:
        """Decoded spectrogram (batch, 1, bins, frames) → waveform (batch, samples) in [-1, 1], with its grain.

        Args:
            spectrogram: as `decode` gives it.
            seeds, strength: see `with_grain`.
            num_iterations: iterations of Griffin-Lim.
        """
        return self.spectrogram.invert(next(self.with_grain([spectrogram], seeds, strength)), num_iterations)

    def codebooks(self) -> dict[str, Tensor]:
        """Both codebooks: they give the codes their meaning."""
        return {"top": self.network.quantize_top.codebook, "bottom": self.network.quantize_bottom.codebook}

    def fingerprint(self) -> str:
        """A short name for the codebooks, the same on every machine."""
        return fingerprint(self.codebooks())
