"""The baseline of the VQ-VAE-2: the two levels in the form that most projects take over, rosinality's vq-vae-2-pytorch.

Same layers and sizes as `networks.VQVAE2`; what differs is how they are computed. Squared distances are expanded into
three terms, the codes become one-hot rows, the codebook's averages are products with these, and the tensors lie
channels-first. No code is replaced when it dies.
"""

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class OneHotQuantizer(nn.Module):
    """Nearest codebook vector, by one-hot rows.

    Args:
        num_codes: vectors in the codebook.
        dim: length of a vector.
        decay: of the moving averages.
        epsilon: smooths the counts, so that a code without vectors divides by no zero.
    """

    def __init__(self, num_codes: int, dim: int, decay: float = 0.99, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.num_codes, self.decay, self.epsilon = num_codes, decay, epsilon
        codebook = torch.randn(dim, num_codes)
        self.register_buffer("codebook", codebook)
        self.register_buffer("count", torch.zeros(num_codes))
        self.register_buffer("total", codebook.clone())

    def forward(self, vectors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(batch, dim, rows, columns) → quantised vectors of that shape, codes (batch, rows, columns), and the loss."""
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
        return straight_through.permute(0, 3, 1, 2), codes, loss


class PlainVQVAE2(nn.Module):
    """The top level has half as many rows and columns of codes as the bottom level; arguments as `networks.VQVAE2`."""

    def __init__(
        self,
        in_channels: int = 1,
        width: int = 64,
        num_residual_blocks: int = 2,
        residual_width: int = 32,
        embedding_dim: int = 64,
        num_codes: int = 128,
        bottom_stride: int = 4,
    ) -> None:
        super().__init__()
        blocks = (num_residual_blocks, residual_width)
        full_width = [width] * (bottom_stride.bit_length() - 2)
        self.encode_bottom = _encoder([in_channels, width // 2, *full_width], width, *blocks)
        self.encode_top = _encoder([width, width // 2], width, *blocks)
        self.to_top = nn.Conv2d(width, embedding_dim, 1)
        self.quantize_top = OneHotQuantizer(num_codes, embedding_dim)
        self.decode_top = _decoder(embedding_dim, [width, embedding_dim], *blocks)
        self.to_bottom = nn.Conv2d(embedding_dim + width, embedding_dim, 1)
        self.quantize_bottom = OneHotQuantizer(num_codes, embedding_dim)
        self.upsample_top = nn.ConvTranspose2d(embedding_dim, embedding_dim, 4, stride=2, padding=1)
        self.decoder = _decoder(2 * embedding_dim, [*full_width, width // 2, in_channels], *blocks)

    def forward(self, spectrogram: Tensor) -> tuple[Tensor, Tensor]:
        """Spectrogram (batch, channels, bins, frames) → its reconstruction and the commitment loss."""
        below = self.encode_bottom(spectrogram)
        top, _, top_loss = self.quantize_top(self.to_top(self.encode_top(below)))
        merged = torch.cat([self.decode_top(top), below], dim=1)
        bottom, _, bottom_loss = self.quantize_bottom(self.to_bottom(merged))
        return self.decoder(torch.cat([self.upsample_top(top), bottom], dim=1)), top_loss + bottom_loss

    def loss(self, spectrogram: Tensor) -> Tensor:
        """Squared error, and a quarter of the commitment loss."""
        reconstruction, commitment = self(spectrogram)
        return F.mse_loss(reconstruction, spectrogram) + 0.25 * commitment


class _ResidualBlock(nn.Sequential):
    def __init__(self, width: int, hidden_width: int) -> None:
        super().__init__(
            nn.ReLU(),
            nn.Conv2d(width, hidden_width, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden_width, width, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).add_(x)


def _encoder(channels: list[int], width: int, num_blocks: int, block_width: int) -> nn.Sequential:
    """Halves rows and columns from each number of channels to the next."""
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(channels):
        layers += [nn.Conv2d(before, after, 4, stride=2, padding=1), nn.ReLU(inplace=True)]
    layers.append(nn.Conv2d(channels[-1], width, 3, padding=1))
    return nn.Sequential(
        *layers, *(_ResidualBlock(width, block_width) for _ in range(num_blocks)), nn.ReLU(inplace=True)
    )


def _decoder(in_channels: int, channels: list[int], num_blocks: int, block_width: int) -> nn.Sequential:
    """Doubles rows and columns from each number of channels to the next."""
    layers: list[nn.Module] = [nn.Conv2d(in_channels, channels[0], 3, padding=1)]
    layers += [_ResidualBlock(channels[0], block_width) for _ in range(num_blocks)]
    for before, after in itertools.pairwise(channels):
        layers += [nn.ReLU(inplace=True), nn.ConvTranspose2d(before, after, 4, stride=2, padding=1)]
    return nn.Sequential(*layers)
