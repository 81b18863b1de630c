"""Learning to turn spectrograms into codes and back."""

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
from pipelines.outputs import MediaPrediction


class VQVAE(OneNetwork):
    """Training of the VQ-VAE-2; `codec` is what comes of it for all other systems.

    The loss is the mean squared error of the log-spectrogram in [-1, 1] and, weighted, the commitment of the encoder to
    its codes on both levels; the codebooks follow by moving averages.

    Args:
        network: the autoencoder.
        geometry: sizes of window, spectrogram and grids; its strides must be the network's.
        commitment_weight: beta of the paper.
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
        """The way from waveforms to codes and back, with the weights as they are now."""
        return Codec(self.network, self.geometry, self.residual_db)

    def loss(self, batch: dict[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        """Error and commitment on one batch of waveforms (batch, samples)."""
        spectrogram = self.spectrogram(batch["waveform"])
        output = self.network(spectrogram)
        loss, mse, commitment = self._losses(spectrogram, output)
        return loss, {"mse": mse, "commitment": commitment}

    def example_batch(self, num_samples: int) -> dict[str, Tensor]:
        """Waveforms of noise."""
        return {"waveform": 0.1 * torch.randn(num_samples, self.geometry.window_samples)}

    def update_metrics(self, metrics: nn.ModuleDict, batch: dict[str, Any]) -> None:
        """Adds one batch of held-out sounds."""
        spectrogram = self.spectrogram(batch["waveform"])
        output = self.network(spectrogram)
        loss, mse, _ = self._losses(spectrogram, output)
        metrics["loss"].update(loss, weight=len(spectrogram))
        metrics["mse"].update(mse, weight=len(spectrogram))
        by_bin = (x.movedim(-2, -1).flatten(0, -2) for x in (output.reconstruction.float(), spectrogram))
        metrics["residual"].update(*by_bin)
        metrics["top"].update(output.top.codes)
        metrics["bottom"].update(output.bottom.codes)

    def compute_figures(self, metrics: nn.ModuleDict) -> dict[str, Tensor]:
        """Loss, error, and for each level the perplexity of its codes and how many are in use."""
        figures = {name: metrics[name].compute() for name in ("loss", "mse")}
        for level in ("top", "bottom"):
            figures |= {f"{level}_{name}": value for name, value in metrics[level].compute().items()}
        return figures

    def on_validation_epoch_end(self) -> None:
        """Logs the figures, and keeps the size of the remaining error: see `Codec.with_grain`."""
        residual = self.held_out["val"]["residual"].compute().sqrt()
        self.residual_db = residual * self.geometry.dynamic_range_db / 2
        super().on_validation_epoch_end()

    def predict_step(self, batch: dict[str, Any], batch_idx: int) -> list[MediaPrediction]:
        """Reconstructions of held-out sounds."""
        original = self.spectrogram(batch["waveform"])
        reconstruction = self.network(original).reconstruction.float()
        waveforms = self.codec.invert(reconstruction, batch["index"].tolist())
        return [
            MediaPrediction(
                name=f"reconstruction_{self.classes[label]}_{index:04d}",
                label=self.classes[label],
                waveform=waveforms[i],
                sample_rate_hz=self.geometry.sample_rate_hz,
                pictures=[("original", original[i, 0]), ("reconstruction", reconstruction[i, 0])],
            )
            for i, (index, label) in enumerate(zip(batch["index"].tolist(), batch["label"].tolist(), strict=True))
        ]

    def _losses(self, spectrogram: Tensor, output: VQVAE2Output) -> tuple[Tensor, Tensor, Tensor]:
        mse = F.mse_loss(output.reconstruction.float(), spectrogram)
        commitment = output.top.commitment_loss + output.bottom.commitment_loss
        return mse + self.commitment_weight * commitment, mse, commitment
