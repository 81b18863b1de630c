"""A critic of spectrograms, that tells real from decoded ones patch by patch: what teaches a decoder texture."""

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from networks.description import Described


class PatchCritic(Described, nn.Module):
    """Scores patches of a spectrogram, above 0 for real ones.

    Why: a decoder that is fitted by squared error alone draws the mean of all that its codes may stand for. The fewer
    codes there are, the more of the harmonics and the grain of a sound melts into that mean. A critic refuses it.

    Args:
        in_channels: of the spectrogram.
        width: channels of the first layer; twice as many in the second and four times in those that follow.
        num_halvings: layers that halve bins and frames.

    Attributes:
        patch_size: bins, and frames, that a score depends on.

    Source: P. Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks", 2017, arXiv 1611.07004,
    section 3.2.2 (patches); T. Miyato et al., "Spectral Normalization for Generative Adversarial Networks", 2018,
    arXiv 1802.05957; P. Esser et al., "Taming Transformers", 2021, arXiv 2012.09841, section 3.1 (for codes).
    """

    def __init__(self, in_channels: int = 1, width: int = 32, num_halvings: int = 3) -> None:
        super().__init__()
        self.patch_size = 5 * 2**num_halvings - 2  # 3 scores' worth, and a border from each halving
        channels = [in_channels, *(width * min(2**layer, 4) for layer in range(num_halvings))]
        self.layers = nn.ModuleList(
            spectral_norm(nn.Conv2d(before, after, 4, stride=2, padding=1))
            for before, after in itertools.pairwise(channels)
        )
        self.to_scores = spectral_norm(nn.Conv2d(channels[-1], 1, 3, padding=1))
        self.to(memory_format=torch.channels_last)

    def forward(self, spectrogram: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Spectrogram (batch, channels, bins, frames) → scores (batch, 1, rows, columns), and each layer's output."""
        x, features = spectrogram, []
        for layer in self.layers:
            x = F.leaky_relu(layer(x), 0.2)
            features.append(x)
        return self.to_scores(x), features


def hinge_loss(real_scores: Tensor, made_scores: Tensor) -> Tensor:
    """What a critic learns from: scores above 1 for real patches and below -1 for made ones cost nothing.

    Source: J. H. Lim, J. C. Ye, "Geometric GAN", 2017, arXiv 1705.02894, section 3.
    """
    return F.relu(1 - real_scores).mean() + F.relu(1 + made_scores).mean()


def criticism(made_scores: Tensor, made_features: list[Tensor], real_features: list[Tensor]) -> Tensor:
    """What a decoder learns from: low scores, and every layer's mean distance to what the original gave there.

    Source: K. Kumar et al., "MelGAN", 2019, arXiv 1910.06711, section 2.2 (features); their relative distance as in
    A. Défossez et al., "High Fidelity Neural Audio Compression", 2022, arXiv 2210.13438, equation 4.
    """
    distances = [
        F.l1_loss(made, real) / real.abs().mean() for made, real in zip(made_features, real_features, strict=True)
    ]
    return torch.stack(distances).mean() - made_scores.mean()
