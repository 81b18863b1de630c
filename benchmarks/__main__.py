"""`python -m benchmarks`: see the package's docstring."""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

import benchmarks
from benchmarks.end_to_end import measure_end_to_end
from benchmarks.loaders import measure_loaders
from benchmarks.measuring import Plan, quiet, tell
from benchmarks.memory import measure_memory
from benchmarks.records import NOTE, Part, save, screen_table
from benchmarks.sampling import measure_sampling
from benchmarks.training import measure_training
from runtime.doctor import describe_machine
from runtime.exit_codes import end_in_words

PARTS: dict[str, Callable[[Plan], Part]] = {
    "sampling": measure_sampling,
    "training": measure_training,
    "memory": measure_memory,
    "loaders": measure_loaders,
    "end_to_end": measure_end_to_end,
}
SEED = 1
WIDTH = 150  # of tables that are not printed to a terminal


def main(args: Sequence[str] | None = None) -> None:
    """Measures each part, prints its table, and writes all figures so far."""
    parser = argparse.ArgumentParser("python -m benchmarks", description=benchmarks.__doc__.partition(": ")[2])
    parser.add_argument("--quick", action="store_true", help="fewer figures, in less than 2 minutes instead of 10")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="NAME", help=", ".join(PARTS))
    parser.add_argument("--output", type=Path, default=Path("outputs/benchmarks"), help="folder for the files")
    options = parser.parse_args(args)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    run(Plan(device, options.quick, SEED), options.only, options.output, console)
    console.print(f"{NOTE}\nAlso in {options.output / 'benchmarks.md'} and, every repetition, in benchmarks.json.")


def run(plan: Plan, names: Sequence[str], output: Path, console: Console) -> None:
    """Measures the named parts in the order of `PARTS`."""
    facts: dict[str, Any] = {
        "machine": describe_machine(),
        "device": str(plan.device),
        "num_threads": torch.get_num_threads(),
        "seed": plan.seed,
        "is_quick": plan.is_quick,
        "seconds": {},
    }
    parts: list[Part] = []
    for name, measure in PARTS.items():
        if name not in names:
            continue
        started_at = time.perf_counter()
        with quiet():
            torch.manual_seed(plan.seed)
            parts.append(measure(plan))
        facts["seconds"][name] = time.perf_counter() - started_at
        tell(f"{name}: done in {facts['seconds'][name]:.0f} s")
        console.print(screen_table(parts[-1]))
        save(output, facts, parts)


if __name__ == "__main__":
    end_in_words(main)
