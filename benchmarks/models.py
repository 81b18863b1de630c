"""The project's models in the sizes of the shipped configs, and their training steps."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import cli
from benchmarks.measuring import Plan
from datamodules.sounds import padded
from demo import LABELS
from demo.sounds import synthesise
from lightning_modules import VQVAE, System
from media import Spectrogram
from networks import CodePrior
from networks import build as rebuild

BATCH_SIZES = {"vqvae": 8, "top": 4, "bottom": 1, "classifier": 8}


def build(plan: Plan, system: str, *options: str) -> Any:
    """Builds model, data module and trainer from a shipped config; the weights are random."""
    args = ["--config", f"{system}.yaml"]
    if plan.overlay is not None:
        args += ["--config", str(plan.overlay / f"{system}.yaml")]
    args += ["--model.weights", "null"] if system == "classifier" else []  # nothing is downloaded
    options = ("--trainer.logger", "false", "--seed_everything", str(plan.seed), *options)
    return cli.main([*args, *options], run=False)


def build_prior(plan: Plan, system: str) -> CodePrior:
    """Builds the network of `top.yaml` or `bottom.yaml`, with full attention and without checkpointing."""
    return variant(build(plan, system).model.network, attention_columns=None, activation_checkpointing=False)


def variant(prior: CodePrior, **changes: Any) -> CodePrior:
    """Rebuilds a network with other arguments and the same weights."""
    description = prior.describe()
    changed = rebuild(description | {"init_args": description["init_args"] | changes})
    changed.load_state_dict(prior.state_dict())
    return changed


def spectrograms(plan: Plan, vqvae: VQVAE, num: int) -> Tensor:
    """Spectrograms (num, 1, bins, frames) of synthetic cats and dogs."""
    geometry, rng = vqvae.geometry, np.random.default_rng(plan.seed)
    sounds = [synthesise(LABELS[number % len(LABELS)], rng, geometry.sample_rate_hz) for number in range(num)]
    windows = [padded(sound[: geometry.window_samples], 0, geometry.window_samples) for sound in sounds]
    return Spectrogram(geometry)(torch.from_numpy(np.stack(windows))).to(plan.device)


def training_step(
    plan: Plan,
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    loss_of: Callable[[], Tensor],
    dtype: torch.dtype | None = None,
) -> Callable[[], None]:
    """Returns a training step: loss, gradients, clipping and a step of the optimiser, with autocast to `dtype`."""
    module.to(plan.device).train()

    def step() -> None:
        optimizer.zero_grad()
        with plan.autocast(dtype):
            loss = loss_of()
        loss.backward()
        nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()

    return step


def system_step(plan: Plan, system: System, num_samples: int, dtype: torch.dtype | None = None) -> Callable[[], None]:
    """Returns the training step of a system on one batch, as a fit computes it.

    A VQ-VAE gets spectrograms in place of waveforms, as its baseline does not compute them.
    """
    if isinstance(system, VQVAE):
        batch = {"waveform": spectrograms(plan, system, num_samples)}
        system.spectrogram = nn.Identity()
    else:
        batch = system.example_batch(num_samples)
        batch = {name: values.to(plan.device) for name, values in batch.items()}
    system.to(plan.device)
    optimizer = torch.optim.AdamW(system.optimizer_groups(), lr=system.learning_rate)
    return training_step(plan, system, optimizer, lambda: system.loss(batch)[0], dtype)


def rates(plan: Plan, steps: dict[str, Callable[[], None]], num: int) -> dict[str, list[float]]:
    """Measures units per second of steps that handle `num` units each."""
    warm_up(steps.values())
    return plan.interleaved({name: lambda step=step: num / plan.seconds(step) for name, step in steps.items()})


def warm_up(steps: Iterable[Callable[[], None]]) -> None:
    """Runs each step once, which initialises libraries, codebooks and the optimiser's state."""
    for step in steps:
        step()
