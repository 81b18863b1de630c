"""The two-level vector-quantised autoencoder between spectrograms and two grids of codes."""

import itertools
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from networks.codec.quantizer import EMAQuantizer, Quantized
from runtime.described import Described


@dataclass(frozen=True)
class VQVAE2Output:
    """A reconstruction (batch, channels, bins, frames) and the two levels that it was decoded from."""

    reconstruction: Tensor
    top: Quantized
    bottom: Quantized


class VQVAE2(Described, nn.Module):
    """Spectrograms → top and bottom codes → spectrograms.

    Why two levels: the top grid holds the long structure (pitch, the course of an event). The bottom grid, which is
    conditioned on it, holds the detail. All layers are convolutions, so sounds of any length are decoded in one piece.

    Args:
        in_channels: channels of the spectrogram.
        width: channels of the hidden layers.
        num_residual_blocks: residual blocks in each encoder and decoder.
        residual_width: channels inside a residual block.
        embedding_dim: length of a codebook vector.
        num_codes: codes in each level's codebook.
        bottom_stride: bins, and frames, that share a bottom code; a power of two.
        top_stride: bins, and frames, that share a top code; a power of two times `bottom_stride`.
        decay, revive_below: see `EMAQuantizer`.
        bottom_dropout: fraction of the training examples whose bottom level is withheld from the decoder. Without it
            the top codes would carry nothing. With it they alone give a coarse sound (`decode_top_codes`).

    Attributes:
        reach: top columns on either side that a top column's sound can depend on.

    Source: A. Razavi, A. van den Oord, O. Vinyals, "Generating Diverse High-Fidelity Images with VQ-VAE-2", 2019,
    arXiv 1906.00446, section 3.1 and figure 2a.
    """

    changeable = frozenset({"decay", "revive_below", "bottom_dropout"})

    def __init__(
        self,
        in_channels: int = 1,
        width: int = 64,
        num_residual_blocks: int = 2,
        residual_width: int = 32,
        embedding_dim: int = 64,
        num_codes: int = 128,
        bottom_stride: int = 4,
        top_stride: int = 8,
        decay: float = 0.99,
        revive_below: float = 0.5,
        bottom_dropout: float = 0.2,
    ) -> None:
        super().__init__()
        if not 0 <= bottom_dropout < 1:
            raise ValueError(f"bottom_dropout is {bottom_dropout}, expected from 0 to below 1.")
        self.bottom_dropout = bottom_dropout
        between = top_stride / bottom_stride
        self.num_codes = num_codes
        self.bottom_stride, self.top_stride = bottom_stride, top_stride
        # A convolution reaches one column, an upsampling less than two of its coarsest columns.
        self.reach = 2 + math.ceil((num_residual_blocks + 3) / between)
        blocks = (num_residual_blocks, residual_width)
        self.encode_bottom = _encoder(in_channels, width, bottom_stride, *blocks)
        self.encode_top = _encoder(width, width, between, *blocks)
        self.to_top = nn.Conv2d(width, embedding_dim, 1)
        self.quantize_top = EMAQuantizer(num_codes, embedding_dim, decay, revive_below)
        self.decode_top = _decoder(embedding_dim, embedding_dim, width, between, *blocks)
        self.to_bottom = _JoiningConv2d(embedding_dim + width, embedding_dim, 1)
        self.quantize_bottom = EMAQuantizer(num_codes, embedding_dim, decay, revive_below)
        self.upsample_top = nn.Sequential(*_upsampling(embedding_dim, embedding_dim, embedding_dim, between))
        self.decoder = _decoder(2 * embedding_dim, in_channels, width, bottom_stride, *blocks)
        self.to(memory_format=torch.channels_last)  # a fifth faster on a CPU

    def forward(self, spectrogram: Tensor) -> VQVAE2Output:
        """Spectrogram (batch, channels, bins, frames) in [-1, 1] → its reconstruction and codes."""
        top, bottom = self.encode(spectrogram)
        bottom_quantized = bottom.vectors
        if self.training and self.bottom_dropout:
            is_kept = torch.rand(len(spectrogram), 1, 1, 1, device=spectrogram.device) >= self.bottom_dropout
            bottom_quantized = bottom_quantized * is_kept
        return VQVAE2Output(self.decode(top.vectors, bottom_quantized), top, bottom)

    def encode(self, spectrogram: Tensor) -> tuple[Quantized, Quantized]:
        """Spectrogram → (top, bottom), with (bins / stride) × (frames / stride) codes each.

        Raises:
            ValueError: if bins or frames are no multiple of `top_stride`.
        """
        if spectrogram.shape[-2] % self.top_stride or spectrogram.shape[-1] % self.top_stride:
            raise ValueError(
                f"The spectrogram has {tuple(spectrogram.shape[-2:])} (bins, frames), "
                f"expected multiples of top_stride = {self.top_stride}."
            )
        below = self.encode_bottom(spectrogram)
        top = self.quantize_top(self.to_top(self.encode_top(below)))
        bottom = self.quantize_bottom(self.to_bottom(self.decode_top(top.vectors), below))
        return top, bottom

    def decode(self, top_quantized: Tensor, bottom_quantized: Tensor) -> Tensor:
        """Quantised vectors of both levels → spectrogram (batch, channels, bins, frames)."""
        return self.decoder[1:](self.decoder[0](self.upsample_top(top_quantized), bottom_quantized))

    def decode_codes(self, top_codes: Tensor, bottom_codes: Tensor) -> Tensor:
        """Grids of codes (batch, rows, columns) of both levels → spectrogram; equals `forward` in evaluation mode."""
        top, bottom = self.quantize_top.embed(top_codes), self.quantize_bottom.embed(bottom_codes)
        dtype = self.to_top.weight.dtype  # half precision if the network was cast; its codebooks never are
        return self.decode(top.to(dtype), bottom.to(dtype))

    def decode_top_codes(self, top_codes: Tensor) -> Tensor:
        """Grid of top codes (batch, rows, columns) → a coarse spectrogram, without the bottom level."""
        top = self.quantize_top.embed(top_codes).to(self.to_top.weight.dtype)
        scale = self.top_stride // self.bottom_stride
        nothing = top.new_zeros(*top.shape[:2], top.shape[2] * scale, top.shape[3] * scale)
        return self.decode(top, nothing)


class _JoiningConv2d(nn.Conv2d):
    """A convolution over the channels of several inputs, without concatenating them."""

    def forward(self, *inputs: Tensor) -> Tensor:
        first, *others = zip(inputs, self.weight.split([x.shape[1] for x in inputs], dim=1), strict=True)
        out = self._conv_forward(*first, self.bias)
        for x, weight in others:
            out = out.add_(self._conv_forward(x, weight, None))
        return out


class _ResidualBlock(nn.Module):
    def __init__(self, width: int, hidden_width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(width, hidden_width, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden_width, width, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x).add_(x)


def _num_halvings(stride: float) -> int:
    if stride < 2 or not math.log2(stride).is_integer():
        raise ValueError(
            f"bottom_stride, or top_stride / bottom_stride, is {stride:g}, expected a power of two above 1."
        )
    return round(math.log2(stride))


def _encoder(in_channels: int, width: int, stride: float, num_blocks: int, block_width: int) -> nn.Sequential:
    channels = [in_channels, width // 2] + [width] * (_num_halvings(stride) - 1)
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(channels):
        layers += [nn.Conv2d(before, after, 4, stride=2, padding=1), nn.ReLU(inplace=True)]
    layers.append(nn.Conv2d(channels[-1], width, 3, padding=1))
    layers += [_ResidualBlock(width, block_width) for _ in range(num_blocks)]
    return nn.Sequential(*layers, nn.ReLU(inplace=True))


def _decoder(
    in_channels: int, out_channels: int, width: int, stride: float, num_blocks: int, block_width: int
) -> nn.Sequential:
    blocks = [_ResidualBlock(width, block_width) for _ in range(num_blocks)]
    upsampling = _upsampling(width, width // 2, out_channels, stride)
    return nn.Sequential(_JoiningConv2d(in_channels, width, 3, padding=1), *blocks, nn.ReLU(inplace=True), *upsampling)


def _upsampling(in_channels: int, hidden_channels: int, out_channels: int, stride: float) -> list[nn.Module]:
    """Transposed convolutions, each of factor 2, with ReLU between them."""
    num_doublings = _num_halvings(stride)
    channels = [in_channels] * max(1, num_doublings - 1) + [hidden_channels] * (num_doublings > 1) + [out_channels]
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(channels):
        layers += [nn.ConvTranspose2d(before, after, 4, stride=2, padding=1), nn.ReLU(inplace=True)]
    return layers[:-1]
