"""The baseline of the VQ-VAE-2: the two levels as most projects write them, after rosinality's vq-vae-2-pytorch.

The layers and sizes are those of `networks.VQVAE2`. The computation differs: squared distances are expanded into three
terms, codes become one-hot rows, whose products give the averages of the codebook, inputs are concatenated, and tensors
are channels-first. Dead codes are not replaced.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from networks import VQVAE2
from networks.codec.quantizer import Quantized


class OneHotQuantizer(nn.Module):
    """Nearest codebook vector, by one-hot rows.

    Args:
        num_codes: vectors in the codebook.
        dim: length of a vector.
        decay: decay of the moving averages.
        epsilon: smoothing of the counts, which prevents a division by zero for unused codes.
    """

    def __init__(self, num_codes: int, dim: int, decay: float = 0.99, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.num_codes, self.decay, self.epsilon = num_codes, decay, epsilon
        codebook = torch.randn(dim, num_codes)
        self.register_buffer("codebook", codebook)
        self.register_buffer("count", torch.zeros(num_codes))
        self.register_buffer("total", codebook.clone())

    def forward(self, vectors: Tensor) -> Quantized:
        """Quantises vectors (batch, dim, rows, columns)."""
        channels_last = vectors.permute(0, 2, 3, 1)
        flat = channels_last.reshape(-1, channels_last.shape[-1])
        distances = flat.pow(2).sum(1, keepdim=True) - 2 * flat @ self.codebook + self.codebook.pow(2).sum(0)
        codes = (-distances).max(dim=1).indices
        one_hot = F.one_hot(codes, self.num_codes).to(flat.dtype)
        codes = codes.view(channels_last.shape[:-1])
        quantized = F.embedding(codes, self.codebook.T)
        if self.training:
            with torch.no_grad():
                self.count.mul_(self.decay).add_(one_hot.sum(0), alpha=1 - self.decay)
                self.total.mul_(self.decay).add_(flat.T @ one_hot, alpha=1 - self.decay)
                num_vectors = self.count.sum()
                smooth = (self.count + self.epsilon) / (num_vectors + self.num_codes * self.epsilon) * num_vectors
                self.codebook.copy_(self.total / smooth)
        loss = (quantized.detach() - channels_last).pow(2).mean()
        straight_through = channels_last + (quantized - channels_last).detach()
        return Quantized(straight_through.permute(0, 3, 1, 2), codes, loss)


class ConcatenatingConv2d(nn.Conv2d):
    """A convolution over the channels of several inputs, which it concatenates."""

    def forward(self, *inputs: Tensor) -> Tensor:
        return super().forward(torch.cat(inputs, dim=1))


class PlainVQVAE2(VQVAE2):
    """`networks.VQVAE2` of the same arguments, computed in the usual way and without dropout of the bottom level."""

    def __init__(self, **sizes: Any) -> None:
        super().__init__(**sizes | {"bottom_dropout": 0.0})
        dim = self.to_top.out_channels
        self.quantize_top, self.quantize_bottom = (OneHotQuantizer(self.num_codes, dim) for _ in range(2))
        self.to_bottom = ConcatenatingConv2d(self.to_bottom.in_channels, dim, 1)
        for decoder in (self.decode_top, self.decoder):
            decoder[0] = ConcatenatingConv2d(decoder[0].in_channels, decoder[0].out_channels, 3, padding=1)
        self.to(memory_format=torch.contiguous_format)

    def loss(self, spectrogram: Tensor) -> Tensor:
        """Squared error, and a quarter of the commitment losses."""
        output = self(spectrogram)
        commitment = output.top.commitment_loss + output.bottom.commitment_loss
        return F.mse_loss(output.reconstruction, spectrogram) + 0.25 * commitment
