"""Training of the network that knows at which moments of a film something is heard."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics import MeanMetric

from lightning_modules.one_network import OneNetwork
from media.video.moments import find_moments
from media.video.motion import CHANNELS, GRID, RATE_HZ
from metrics.onset_lift import THRESHOLDS, OnsetLift
from networks.vision.moments import MomentNetwork
from runtime.checkpoint import load


@dataclass
class MomentPrediction:
    """The onsets in a film's picture."""

    path: str
    onsets_s: list[float]
    confidence: float  # highest probability of an onset

    def save(self, folder: Path) -> dict[str, Any]:
        """Writes nothing, as the row has everything."""
        times_s = " ".join(f"{onset_s:.2f}" for onset_s in self.onsets_s)
        return {
            "film": self.path,
            "onsets": len(self.onsets_s),
            "confidence": f"{self.confidence:.3f}",
            "at_s": times_s,
        }


class Moments(OneNetwork):
    """Training on films whose own sound says when something is heard.

    Args:
        network: the architecture.
        weights: checkpoint of an earlier fit, such as one on drawn films, whose weights this one starts from; null for
            random ones.
        learning_rate, weight_decay, warmup_steps: see `OneNetwork`.
    """

    title = "Moments"
    changeable = OneNetwork.changeable | {"weights"}

    def __init__(
        self,
        network: MomentNetwork,
        weights: str | None = None,
        learning_rate: float = 2e-3,
        weight_decay: float = 0.01,
        warmup_steps: int = 40,
    ) -> None:
        super().__init__(network, learning_rate, weight_decay, warmup_steps)
        self.weights = weights
        self.set_metrics(loss=MeanMetric(), timing=OnsetLift())

    def on_fit_start(self) -> None:
        """Loads the weights to start from, unless the fit is resumed: the checkpoint has them."""
        if self.weights and not self.trainer.ckpt_path:
            self.network.load_state_dict(load(self.weights, config="moments.yaml").network.state_dict())

    def loss(self, batch: dict[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross-entropy of the frames with the target, near 1 at onsets; frames after a film's end do not count."""
        return self._cross_entropy(self.network(batch["motion"]), batch["target"]), {}

    def example_batch(self, num_samples: int) -> dict[str, Tensor]:
        """Four seconds of noise without an onset."""
        return {
            "motion": torch.rand(num_samples, 100, len(CHANNELS), GRID, GRID),
            "target": torch.zeros(num_samples, 100),
        }

    def update_metrics(self, metrics: nn.ModuleDict, batch: dict[str, Any]) -> None:
        """Adds held-out films."""
        logits = self.network(batch["motion"])
        metrics["loss"].update(self._cross_entropy(logits, batch["target"]), weight=len(logits))
        for curve, onsets_s, num_frames in zip(
            logits.float().sigmoid(), batch["onsets_s"], batch["num_frames"].tolist(), strict=True
        ):
            metrics["timing"].update(curve[:num_frames], onsets_s[onsets_s.isfinite()])

    def compute_figures(self, metrics: nn.ModuleDict) -> dict[str, Tensor]:
        """Loss, F1 and lift of the held-out films; a fit keeps the threshold with the best lift with the weights."""
        figures, thresholds = metrics["timing"].compute(), torch.tensor(THRESHOLDS)
        if self.trainer.state.fn == "fit":
            self.network.threshold.fill_(thresholds[figures["lift"].argmax().item()])
        chosen = (thresholds - self.network.threshold.cpu()).abs().argmin()
        return {"loss": metrics["loss"].compute()} | {name: values[chosen] for name, values in figures.items()}

    def predict_step(self, batch: dict[str, Any], batch_idx: int) -> list[MomentPrediction]:
        """The onsets of each film."""
        predictions = []
        probabilities, threshold = self.network(batch["motion"]).float().sigmoid(), float(self.network.threshold)
        for path, curve, num_frames in zip(batch["path"], probabilities, batch["num_frames"].tolist(), strict=True):
            curve = curve[:num_frames].cpu().numpy()
            onsets_s = find_moments(curve, RATE_HZ, threshold) / RATE_HZ
            predictions.append(MomentPrediction(path, onsets_s.tolist(), float(curve.max())))
        return predictions

    def _cross_entropy(self, logits: Tensor, target: Tensor) -> Tensor:
        counts = target >= 0
        losses = F.binary_cross_entropy_with_logits(logits.float(), target.clamp_min(0), reduction="none")
        return (losses * counts).sum() / counts.sum().clamp_min(1)
