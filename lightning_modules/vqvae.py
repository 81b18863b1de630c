"""Learning to turn spectrograms into codes and back."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics import MeanMetric

from lightning_modules.predictions import SoundPrediction
from lightning_modules.system import System
from media import Geometry, Spectrogram
from metrics import CodeUsage
from networks import VQVAE2, PatchCritic, VQVAE2Output
from networks.code_grid import flatten_codes, unflatten_codes
from networks.critic import criticism, hinge_loss


class VQVAE(System):
    """Training of the VQ-VAE-2, and the way from waveforms to codes and back for all that comes after it.

    The loss is the mean squared error of the log-spectrogram in [-1, 1] and, weighted, the commitment of the encoder to
    its codes on both levels; the codebooks follow by moving averages.

    Args:
        network: the autoencoder.
        geometry: of window, spectrogram and grids; its strides must be the network's.
        commitment_weight: beta of the paper.
        learning_rate, weight_decay, warmup_steps: see `System`.
        critic: learns at the same time to tell reconstructions from originals, and the decoder learns from it; None to
            do without.
        critic_weight: how strong its gradient at a reconstruction is beside that of the squared error.
        critic_from_step: optimiser step from which there is criticism.

    Raises:
        ValueError: where the strides of network and geometry differ, naming both.

    Source: A. Razavi et al., "Generating Diverse High-Fidelity Images with VQ-VAE-2", 2019, section 3.1, equation 2;
    the balance of two gradients at the output: A. Défossez et al., "High Fidelity Neural Audio Compression", 2022,
    arXiv 2210.13438, section 3.4.
    """

    def __init__(
        self,
        network: VQVAE2,
        geometry: Geometry,
        commitment_weight: float = 0.25,
        learning_rate: float = 3e-4,
        weight_decay: float = 0.0,
        warmup_steps: int = 100,
        critic: PatchCritic | None = None,
        critic_weight: float = 1.0,
        critic_from_step: int = 0,
    ) -> None:
        super().__init__(network, learning_rate, weight_decay, warmup_steps)
        self.critic = critic
        self.critic_weight, self.critic_from_step = critic_weight, critic_from_step
        strides = {"network": (network.bottom_stride, network.top_stride)}
        strides["geometry"] = (geometry.bottom_stride, geometry.top_stride)
        if strides["network"] != strides["geometry"]:
            raise ValueError(
                f"(bottom_stride, top_stride) is {strides['network']} in the network, {strides['geometry']} in the "
                "geometry: expected the same."
            )
        self.geometry = geometry
        self.commitment_weight = commitment_weight
        self.spectrogram = Spectrogram(geometry)
        self.set_metrics(
            loss=MeanMetric(),
            mse=MeanMetric(),
            top=CodeUsage(network.num_codes),
            bottom=CodeUsage(network.num_codes),
        )

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        """One batch of waveforms (batch, samples)."""
        spectrogram = self.spectrogram(batch["waveform"])
        output = self.network(spectrogram)
        loss, mse, commitment = self._losses(spectrogram, output)
        figures = {"mse": mse, "commitment": commitment}
        if self.critic is not None and self.global_step >= self.critic_from_step:
            for_decoder, for_critic = self._critic_losses(spectrogram, output.reconstruction)
            loss = loss + for_decoder + for_critic
            figures["critic_loss"] = for_critic
        return self.log_training(loss, **figures)

    def update_metrics(self, metrics: nn.ModuleDict, batch: dict[str, Any]) -> None:
        """Adds one batch of held-out sounds."""
        spectrogram = self.spectrogram(batch["waveform"])
        output = self.network(spectrogram)
        loss, mse, _ = self._losses(spectrogram, output)
        metrics["loss"].update(loss, weight=len(spectrogram))
        metrics["mse"].update(mse, weight=len(spectrogram))
        metrics["top"].update(output.top.codes)
        metrics["bottom"].update(output.bottom.codes)

    def compute_figures(self, metrics: nn.ModuleDict) -> dict[str, Tensor]:
        """Loss, error, and for each level the perplexity of its codes and how many are in use."""
        figures = {name: metrics[name].compute() for name in ("loss", "mse")}
        for level in ("top", "bottom"):
            figures |= {f"{level}_{name}": value for name, value in metrics[level].compute().items()}
        return figures

    def predict_step(self, batch: dict[str, Any], batch_idx: int) -> list[SoundPrediction]:
        """Reconstructions of held-out sounds."""
        original = self.spectrogram(batch["waveform"])
        reconstruction = self.network(original).reconstruction.float()
        waveforms = self.spectrogram.invert(reconstruction)
        return [
            SoundPrediction(
                name=f"reconstruction_{self.classes[label]}_{index:04d}",
                label=self.classes[label],
                waveform=waveforms[i],
                sample_rate_hz=self.geometry.sample_rate_hz,
                pictures=[("original", original[i, 0]), ("reconstruction", reconstruction[i, 0])],
            )
            for i, (index, label) in enumerate(zip(batch["index"].tolist(), batch["label"].tolist(), strict=True))
        ]

    def encode(self, waveform: Tensor) -> tuple[Tensor, Tensor]:
        """Waveforms (batch, samples) → flattened top and bottom codes (batch, length)."""
        top, bottom = self.network.encode(self.spectrogram(waveform))
        return flatten_codes(top.codes), flatten_codes(bottom.codes)

    def decode(self, top_codes: Tensor, bottom_codes: Tensor) -> Tensor:
        """Flattened top and bottom codes of any length → spectrogram (batch, 1, bins, frames)."""
        top = unflatten_codes(top_codes, self.geometry.top_shape[0])
        bottom = unflatten_codes(bottom_codes, self.geometry.bottom_shape[0])
        return self.network.decode_codes(top, bottom).float()

    def decode_columns(
        self, top_columns: Iterator[Tensor], bottom_columns: Iterator[Tensor], num_top_columns: int = 30
    ) -> Iterator[Tensor]:
        """Columns of codes (batch, rows), without end → pieces of the spectrogram, equal to that decoded as a whole.

        Args:
            top_columns: of the top level.
            bottom_columns: of the bottom level, as many as belong to the top columns.
            num_top_columns: of a piece.

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

    def decode_coarsely(self, top_codes: Tensor) -> Tensor:
        """Flattened top codes of any length → a coarse spectrogram: what the top prior says, on its own."""
        return self.network.decode_top_codes(unflatten_codes(top_codes, self.geometry.top_shape[0])).float()

    def codebooks(self) -> dict[str, Tensor]:
        """Both codebooks, for their fingerprint."""
        return {"top": self.network.quantize_top.codebook, "bottom": self.network.quantize_bottom.codebook}

    def _critic_losses(self, original: Tensor, reconstruction: Tensor) -> tuple[Tensor, Tensor]:
        """(for the decoder, for the critic), to be minimised at once; neither reaches the other's weights."""
        made = reconstruction.detach().requires_grad_()
        real_scores, real_features = self.critic(original)
        self.critic.requires_grad_(False)
        made_scores, made_features = self.critic(made)
        self.critic.requires_grad_(True)
        loss = criticism(made_scores, made_features, [features.detach() for features in real_features])
        (direction,) = torch.autograd.grad(loss * made.numel(), made)  # as a sum, or half precision would round it to 0
        error = (made.detach().float() - original) * (2 / made.numel())  # the gradient of the mean squared error
        scale = self.critic_weight * error.norm() / direction.float().norm().clamp(min=1e-12)
        for_decoder = (reconstruction.float() * (direction.float() * scale)).sum()
        return for_decoder - for_decoder.detach(), hinge_loss(real_scores, self.critic(made.detach())[0])

    def _losses(self, spectrogram: Tensor, output: VQVAE2Output) -> tuple[Tensor, Tensor, Tensor]:
        mse = F.mse_loss(output.reconstruction.float(), spectrogram)
        commitment = output.top.commitment_loss + output.bottom.commitment_loss
        return mse + self.commitment_weight * commitment, mse, commitment
