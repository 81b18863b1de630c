"""The figures of each fitted model alone."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor, nn
from torchmetrics import Metric

from runtime.checkpoint import read_checkpoint


class FittedSystem(Protocol):
    """A system with figures of its own on held-out data; see `lightning_modules.System`."""

    title: str
    network: nn.Module
    facts: dict[str, Any]
    held_out: Mapping[str, Mapping[str, Metric]]

    def update_metrics(self, metrics: Mapping[str, Metric], batch: dict[str, Any]) -> None:
        """Adds a batch of held-out data."""

    def compute_figures(self, metrics: Mapping[str, Metric]) -> dict[str, Tensor]:
        """Computes the figures by name."""


@dataclass(frozen=True)
class FittedModel:
    """A model of an evaluation.

    Attributes:
        system: the model and its metrics.
        path: path of its checkpoint.
        fingerprint: fingerprint of its weights.
        kind: kind of held-out data for its figures, `sounds` or `photos`.
        codes_per_second: codes that it draws for a second of sound; None for other models.
    """

    system: FittedSystem
    path: str
    fingerprint: str
    kind: str
    codes_per_second: float | None = None


def figures_of_model(model: FittedModel, is_measured: bool) -> dict[str, float | None]:
    """Number of weights, number of steps and, if it is measured, figures on the test data of a model."""
    system, metrics = model.system, model.system.held_out["test"]
    figures: dict[str, float | None] = {"num_weights": sum(p.numel() for p in system.network.parameters())}
    if (num_steps := read_checkpoint(model.path).get("global_step")) is not None:
        figures["num_steps"] = num_steps
    if not is_measured:
        return figures
    measured = {name: float(value) for name, value in system.compute_figures(metrics).items()}
    for metric in metrics.values():
        metric.reset()
    if model.codes_per_second is not None:
        measured["bits_per_second"] = measured["bits_per_code"] * model.codes_per_second
    return figures | {name: finite(value) for name, value in measured.items()}


def finite(value: Any) -> Any:
    """None in place of a number that is not finite, as JSON has no such numbers."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
