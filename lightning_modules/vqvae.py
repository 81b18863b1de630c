"""Training of the autoencoder that turns spectrograms into codes and back."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics import MeanMetric, MeanSquaredError

from lightning_modules.one_network import OneNetwork
from media import Geometry, Spectrogram
from metrics import CodeUsage
from networks import VQVAE2, VQVAE2Output
from networks.codec.codec import Codec
from pipelines.outputs import MediaPrediction, split_batch


class VQVAE(OneNetwork):
    """Trains the VQ-VAE-2, which other systems use as a `codec`.

    The loss is the mean squared error of the log-spectrogram in [-1, 1] plus the weighted commitment loss of both
    levels. The codebooks follow by moving averages.

    Args:
        network: the autoencoder.
        geometry: sizes of the window, the spectrogram and the grids, with the strides of the network.
        commitment_weight: weight of the commitment loss, beta of the paper.
        learning_rate, weight_decay, warmup_steps: see `OneNetwork`.

    Raises:
        ValueError: if the strides of network and geometry differ, naming both.

    Source: A. Razavi et al., "Generating Diverse High-Fidelity Images with VQ-VAE-2", 2019, section 3.1, equation 2.
    """

    title = "VQ-VAE-2"
    changeable = OneNetwork.changeable | {"commitment_weight"}

    def __init__(
        self,
        network: VQVAE2,
        geometry: Geometry,
        commitment_weight: float = 0.25,
        learning_rate: float = 3e-4,
        weight_decay: float = 0.0,
        warmup_steps: int = 100,
    ) -> None:
        super().__init__(network, learning_rate, weight_decay, warmup_steps)
        strides, expected = ((x.bottom_stride, x.top_stride) for x in (network, geometry))
        if strides != expected:
            raise ValueError(
                f"(bottom_stride, top_stride) is {strides} in the network, {expected} in the geometry: make them equal."
            )
        self.geometry = geometry
        self.commitment_weight = commitment_weight
        self.spectrogram = Spectrogram(geometry)
        self.register_buffer("residual_db", torch.zeros(geometry.num_bins))
        self.set_metrics(
            loss=MeanMetric(),
            mse=MeanMetric(),
            residual=MeanSquaredError(num_outputs=geometry.num_bins),
            top=CodeUsage(network.num_codes),
            bottom=CodeUsage(network.num_codes),
        )

    @property
    def codec(self) -> Codec:
        """Coder and decoder of waveforms, with the present weights."""
        return Codec(self.network, self.geometry, self.residual_db)

    def loss(self, batch: dict[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        """Error and commitment on a batch of waveforms (batch, samples)."""
        spectrogram = self.spectrogram(batch["waveform"])
        mse, commitment = self._errors(spectrogram, self.network(spectrogram))
        return mse + self.commitment_weight * commitment, {"mse": mse, "commitment": commitment}

    def example_batch(self, num_samples: int) -> dict[str, Tensor]:
        """Waveforms of noise."""
        return {"waveform": 0.1 * torch.randn(num_samples, self.geometry.window_samples)}

    def update_metrics(self, metrics: nn.ModuleDict, batch: dict[str, Any]) -> None:
        """Adds a batch of held-out sounds."""
        spectrogram = self.spectrogram(batch["waveform"])
        output = self.network(spectrogram)
        mse, commitment = self._errors(spectrogram, output)
        metrics["loss"].update(mse + self.commitment_weight * commitment, weight=len(spectrogram))
        metrics["mse"].update(mse, weight=len(spectrogram))
        by_bin = (x.movedim(-2, -1).flatten(0, -2) for x in (output.reconstruction.float(), spectrogram))
        metrics["residual"].update(*by_bin)
        metrics["top"].update(output.top.codes)
        metrics["bottom"].update(output.bottom.codes)

    def compute_figures(self, metrics: nn.ModuleDict) -> dict[str, Tensor]:
        """Loss, error, and the perplexity and the number of used codes of each level."""
        figures = {name: metrics[name].compute() for name in ("loss", "mse")}
        for level in ("top", "bottom"):
            figures |= {f"{level}_{name}": value for name, value in metrics[level].compute().items()}
        return figures

    def on_validation_epoch_end(self) -> None:
        """Logs the figures, and keeps the error of each bin for `Codec.with_grain`."""
        residual = self.held_out["val"]["residual"].compute().sqrt()
        self.residual_db = residual * self.geometry.dynamic_range_db / 2
        super().on_validation_epoch_end()

    def predict_step(self, batch: dict[str, Any], batch_idx: int) -> list[MediaPrediction]:
        """Reconstructions of held-out sounds."""
        original = self.spectrogram(batch["waveform"])
        reconstruction = self.network(original).reconstruction.float()
        waveforms = self.codec.invert(reconstruction, batch["index"].tolist())
        pictures = {"original": original, "reconstruction": reconstruction}
        return split_batch("reconstruction", batch, self.classes, pictures, waveforms, self.geometry.sample_rate_hz)

    def _errors(self, spectrogram: Tensor, output: VQVAE2Output) -> tuple[Tensor, Tensor]:
        mse = F.mse_loss(output.reconstruction.float(), spectrogram)
        return mse, output.top.commitment_loss + output.bottom.commitment_loss
