"""The project's own models as the shipped configs make them, and their training step."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import cli
from benchmarks.measuring import Plan
from demo import LABELS
from demo.sounds import synthesise
from lightning_modules import VQVAE, System
from media import Spectrogram
from networks import CodePrior
from networks import build as rebuild

BATCH_SIZES = {"vqvae": 8, "top": 4, "bottom": 1, "classifier": 8}


def build(plan: Plan, system: str, *options: str) -> Any:
    """Model with random weights, data module and trainer of a shipped config, as `cli.main` gives them."""
    args = ["--config", f"{system}.yaml"]
    if plan.overlay is not None:
        args += ["--config", str(plan.overlay / f"{system}.yaml")]
    args += ["--model.weights", "null"] if system == "classifier" else []  # nothing is downloaded
    options = ("--trainer.logger", "false", "--seed_everything", str(plan.seed), *options)
    return cli.main([*args, *options], run=False)


def build_prior(plan: Plan, system: str) -> CodePrior:
    """The network of `top.yaml` or `bottom.yaml`, which attends to all codes and keeps all activations."""
    return variant(build(plan, system).model.network, attention_columns=None, activation_checkpointing=False)


def variant(prior: CodePrior, **changes: Any) -> CodePrior:
    """The same network, built with other arguments; the weights are the same."""
    description = prior.describe()
    changed = rebuild(description | {"init_args": description["init_args"] | changes})
    changed.load_state_dict(prior.state_dict())
    return changed


def spectrograms(plan: Plan, vqvae: VQVAE, num: int) -> Tensor:
    """Spectrograms (num, 1, bins, frames) of synthetic cats and dogs."""
    window_samples = vqvae.geometry.window_samples
    rng = np.random.default_rng(plan.seed)
    waveforms = np.zeros((num, window_samples), np.float32)
    for number, waveform in enumerate(waveforms):
        sound = synthesise(LABELS[number % len(LABELS)], rng, vqvae.geometry.sample_rate_hz)[:window_samples]
        waveform[: len(sound)] = sound
    return Spectrogram(vqvae.geometry)(torch.from_numpy(waveforms)).to(plan.device)


def training_step(
    plan: Plan,
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    loss_of: Callable[[], Tensor],
    dtype: torch.dtype | None = None,
) -> Callable[[], None]:
    """A function that learns from one batch: loss, gradients, clipping, a step of the optimiser.

    Args:
        plan: gives the device.
        module: what learns.
        optimizer: of its parameters.
        loss_of: computes the loss of the batch.
        dtype: of autocast; None for fp32.
    """
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
    """What a fit runs for each batch of so many samples, with the batch at hand.

    A VQ-VAE is given spectrograms instead of waveforms, for its baseline computes none.
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
    """Units a second, of steps that handle `num` each; the first steps warm up."""
    warm_up(steps.values())
    return plan.interleaved({name: lambda step=step: num / plan.seconds(step) for name, step in steps.items()})


def warm_up(steps: Iterable[Callable[[], None]]) -> None:
    """The first step starts libraries, codebooks and the optimiser's state."""
    for step in steps:
        step()
