"""The figures of each fitted model alone, beside those of the sounds that they make together."""

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
    held_out: Mapping[str, Mapping[str, Metric]]  # both are an nn.ModuleDict, which does not know of what

    def update_metrics(self, metrics: Mapping[str, Metric], batch: dict[str, Any]) -> None:
        """Add one batch of held-out data to the metrics."""

    def compute_figures(self, metrics: Mapping[str, Metric]) -> dict[str, Tensor]:
        """The figures by name."""


@dataclass(frozen=True)
class FittedModel:
    """A model whose own figures stand beside the rows.

    Attributes:
        system: measures the model.
        path: its checkpoint.
        fingerprint: short name of its weights.
        kind: held-out data that it is measured on, `sounds` or `photos`.
        codes_per_second: codes that it draws for a second of sound; None if it draws none.
    """

    system: FittedSystem
    path: str
    fingerprint: str
    kind: str
    codes_per_second: float | None = None


def figures_of_model(model: FittedModel, is_measured: bool) -> dict[str, float | None]:
    """Size, length of the fit and figures on test data of a model.

    Args:
        model: its metrics have seen the test data.
        is_measured: whether there were test data for it.
    """
    system, figures = model.system, dict[str, float | None]()
    figures["num_weights"] = sum(weights.numel() for weights in system.network.parameters())
    if (num_steps := read_checkpoint(model.path).get("global_step")) is not None:
        figures["num_steps"] = num_steps
    if not is_measured:
        return figures
    metrics = system.held_out["test"]
    measured = {name: float(value) for name, value in system.compute_figures(metrics).items()}
    for metric in metrics.values():
        metric.reset()
    if model.codes_per_second is not None:
        measured["bits_per_second"] = measured["bits_per_code"] * model.codes_per_second
    return figures | {name: finite(value) for name, value in measured.items()}


def finite(value: Any) -> Any:
    """None in place of a number that is not finite, as JSON has no other."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
