"""`python -m results.cost`: counts the floating point operations of each fit."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

from lightning_modules import System, load
from runtime.exit_codes import end_in_words
from runtime.resuming import LAST, read_resume_point
from runtime.systems import fitted_systems

THESIS_GPU_HOURS, P100_FLOPS = 24.0, 9.3e12  # as reported; single precision, from NVIDIA's data sheet
aten = torch.ops.aten
ATTENTION_ON_CPU = {
    aten._scaled_dot_product_flash_attention_for_cpu: lambda *sizes, **_: sdpa_flop_count(*sizes[:3]),
    aten._scaled_dot_product_flash_attention_for_cpu_backward: lambda *sizes, **_: sdpa_backward_flop_count(*sizes[:4]),
}


def main(args: Sequence[str] | None = None) -> None:
    """Prints the steps, the batch size and the operations of every fitted system."""
    parser = argparse.ArgumentParser("python -m results.cost", description=__doc__.partition(": ")[2])
    parser.add_argument("--checkpoints", default="checkpoints", type=Path, help="folder with vqvae/, top/, …")
    options = parser.parse_args(args)
    table = Table("system", "weights", "steps", "batch", "GFLOP a sample", "PFLOP in all", box=SIMPLE)
    total = 0.0
    paths = {path.stem: find_last(options.checkpoints / path.stem) for path in fitted_systems()}
    if not any(paths.values()):
        raise FileNotFoundError(
            f"There is neither last.ckpt nor best.ckpt in {options.checkpoints}/<{' or '.join(paths)}>. Fit a model "
            "first, or name another folder with --checkpoints."
        )
    for name, path in paths.items():
        if path is None:
            table.add_row(name, *["–"] * 5)
            continue
        system, point = load(path), read_resume_point(path)
        batch_size = count_samples(point.config)
        num_weights = sum(parameter.numel() for parameter in system.parameters())
        cost = count_flops(system)
        whole = cost * batch_size * point.step
        total += whole
        figures = (num_weights, point.step, batch_size)
        table.add_row(name, *(f"{figure:,}" for figure in figures), f"{cost / 1e9:.2f}", f"{whole / 1e15:.3g}")
    table.add_section()
    table.add_row("all", "", "", "", "", f"{total / 1e15:.3g}")
    peak = THESIS_GPU_HOURS * 3600 * P100_FLOPS
    Console().print(table)
    print(
        f"For comparison, the {THESIS_GPU_HOURS:.0f} hours of the thesis on a Tesla P100: {peak / 1e15:,.0f} PFLOP at "
        f"the card's peak, {0.03 * peak / 1e15:,.0f} at the reported 3 % of it."
    )


def find_last(folder: Path) -> Path | None:
    """Finds the checkpoint with the most steps: the last, or else the best one."""
    return next((folder / name for name in (LAST, "best.ckpt") if (folder / name).is_file()), None)


def count_samples(config: dict[str, Any]) -> int:
    """Counts the samples of an optimiser step on one device, from the config in a checkpoint."""
    return config["data"]["init_args"]["batch_size"] * config["trainer"]["accumulate_grad_batches"]


def count_flops(system: System) -> float:
    """Counts the operations of a forward and backward pass for one sample; a multiplication and an addition are two.

    Attention counts as if it were not causal. Operations that activation checkpointing repeats count again.
    """
    system.train().requires_grad_(True)
    num_samples = 2  # a batch norm needs two
    batch = system.example_batch(num_samples)
    with FlopCounterMode(display=False, custom_mapping=ATTENTION_ON_CPU) as counter:
        system.loss(batch)[0].backward()
    return counter.get_total_flops() / num_samples


if __name__ == "__main__":
    end_in_words(main)
