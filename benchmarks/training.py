"""Speed of training steps, without loading the data."""

from collections.abc import Callable
from typing import Any

import torch

from benchmarks.gpt import GPT, gpt_loss, gpt_sizes
from benchmarks.measuring import Plan, tell
from benchmarks.models import BATCH_SIZES, build, build_prior, rates, spectrograms, system_step, training_step, variant
from benchmarks.plain_vqvae2 import PlainVQVAE2
from benchmarks.records import LEFT_OUT, Part, Row, rows
from benchmarks.sampling import ATTENTION_COLUMNS
from lightning_modules import BottomPrior, TopPrior
from networks import CodePrior

ROSINALITY = "VQ-VAE-2 as rosinality writes it"
NANOGPT = "nanoGPT's block at the same sizes"


def measure_training(plan: Plan) -> Part:
    """Measures the VQ-VAE-2 and both priors."""
    found = [*measure_vqvae(plan), *measure_prior(plan, "top"), *measure_prior(plan, "bottom")]
    return Part("training", "Training steps", found)


def measure_vqvae(plan: Plan) -> list[Row]:
    """Measures spectrograms per second."""
    num = BATCH_SIZES["vqvae"]
    case = f"VQ-VAE-2, batch {num}"
    tell(f"training: {case}")
    vqvae, in_bf16 = (build(plan, "vqvae").model for _ in range(2))
    plain = PlainVQVAE2(**vqvae.network.describe()["init_args"])
    batch = spectrograms(plan, vqvae, num)
    optimizer = torch.optim.Adam(plain.parameters(), lr=3e-4)
    steps = {
        "ours": system_step(plan, vqvae, num),
        ROSINALITY: training_step(plan, plain, optimizer, lambda: plain.loss(batch)),
        "ours, bf16 autocast": system_step(plan, in_bf16, num, torch.bfloat16),
    }
    return rows(case, "samples/s", rates(plan, steps, num), (ROSINALITY,))


def measure_prior(plan: Plan, level: str) -> list[Row]:
    """Measures codes per second, for the bottom prior with and without bounded attention and checkpointing."""
    num, system = BATCH_SIZES[level], TopPrior if level == "top" else BottomPrior
    prior = build_prior(plan, level)
    case = f"{level.capitalize()} prior, {prior.sequence_length} positions, batch {num}"
    if plan.is_quick and level == "top":  # the same network as the bottom prior's
        return [Row(case, "ours", "codes/s", [], remark=LEFT_OUT)]
    tell(f"training: {case}")
    changes: dict[str, dict[str, Any]] = {"ours": {}}
    if level == "bottom":
        bounded = {"attention_columns": min(ATTENTION_COLUMNS, prior.num_columns)}
        checkpointed = {"activation_checkpointing": True}
        changes[f"ours, attention_columns {ATTENTION_COLUMNS}"] = bounded
        changes |= {"ours, activation checkpointing": checkpointed, "ours, both": checkpointed | bounded}
    left_out = [name for name, changed in changes.items() if plan.is_quick and changed]
    steps = {
        name: system_step(plan, system(variant(prior, **changed)), num)
        for name, changed in changes.items()
        if name not in left_out
    }
    steps[NANOGPT] = nanogpt_step(plan, prior, num)
    measured = rates(plan, steps, num * prior.num_rows * prior.num_columns) | {name: [] for name in left_out}
    return rows(case, "codes/s", measured, (NANOGPT,), dict.fromkeys(left_out, LEFT_OUT))


def nanogpt_step(plan: Plan, prior: CodePrior, num_samples: int) -> Callable[[], None]:
    """Returns the training step of a GPT of the same sizes."""
    gpt = GPT(**gpt_sizes(prior))
    codes = torch.randint(prior.num_codes, (num_samples, prior.sequence_length - 1), device=plan.device)
    labels = torch.zeros(num_samples, dtype=torch.long, device=plan.device)
    optimizer = torch.optim.AdamW(gpt.parameters(), lr=3e-4)
    return training_step(plan, gpt, optimizer, lambda: gpt_loss(gpt, codes, labels))
