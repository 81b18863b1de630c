"""Peak memory of a training step of the bottom prior, each measured in its own process."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpt import gpt_sizes
from benchmarks.measuring import Plan, tell
from benchmarks.models import build_prior, variant
from benchmarks.records import LEFT_OUT, Part, Row

MATRIX = "attention that stores the length × length matrix"
BATCH_SIZES = (1, 2, 4, 8)
NUM_AT_ONCE = 2
GIB = 2**30
PROJECT = Path(__file__).parents[1]


def measure_memory(plan: Plan, batch_sizes: Sequence[int] = BATCH_SIZES) -> Part:
    """Measures several batch sizes, with and without activation checkpointing; repeats only the smallest one."""
    prior = build_prior(plan, "bottom")
    ways = {
        "ours": {"prior": prior.describe()},
        "ours, activation checkpointing": {"prior": variant(prior, activation_checkpointing=True).describe()},
        MATRIX: {"gpt": gpt_sizes(prior) | {"stores_matrix": True}},
    }
    smallest = min(batch_sizes)
    cases = [(size, name) for size in batch_sizes for name in ways if name != MATRIX or size == smallest]
    left_out = [case for case in cases if plan.is_quick and case[0] > smallest]
    repeated = [case for case in cases if not plan.is_quick and case[0] == smallest]
    tasks = [case for case in cases if case not in left_out] + repeated * (plan.num_repetitions - 1)
    tasks.sort(key=lambda case: case[1] != MATRIX)  # the slowest ones first, to use all processors to the end
    tell(f"memory: {len(tasks)} processes, {NUM_AT_ONCE} at a time")
    with ThreadPoolExecutor(NUM_AT_ONCE) as pool:
        peaks = list(pool.map(lambda task: peak_gib(plan, {"batch_size": task[0], **ways[task[1]]}), tasks))
    found: list[Row] = []
    for size, name in cases:
        values = [peak for task, peak in zip(tasks, peaks, strict=True) if task == (size, name) and peak is not None]
        remark = LEFT_OUT if (size, name) in left_out else "" if values else "did not fit"
        found.append(Row(f"batch {size}", name, "GiB", values, name == MATRIX, remark))
    title = f"Peak memory of a training step of the Bottom prior, {prior.sequence_length} positions"
    return Part("memory", title, found)


def peak_gib(plan: Plan, task: dict[str, Any]) -> float | None:
    """Runs `benchmarks.peak_of_step` in its own process and returns the peak; None if it runs out of memory."""
    num_threads = max(1, torch.get_num_threads() // NUM_AT_ONCE)
    found = subprocess.run(
        [sys.executable, "-m", "benchmarks.peak_of_step", json.dumps(task | {"device": str(plan.device)})],
        cwd=PROJECT,
        env=os.environ | {"OMP_NUM_THREADS": str(num_threads)},
        capture_output=True,
        text=True,
    )
    if found.returncode < 0 or "out of memory" in found.stderr or "can't allocate memory" in found.stderr:
        return None
    if found.returncode:
        raise ValueError(f"The process that measures a training step failed: {found.stderr.strip()[-400:]}")
    return json.loads(found.stdout) / GIB
