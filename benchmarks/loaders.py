"""Whether the data come as fast as they are learned from."""

import tempfile
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader

from benchmarks.measuring import Plan, tell
from benchmarks.models import BATCH_SIZES, build, system_step, warm_up
from benchmarks.records import LEFT_OUT, Part, Row, rows
from demo.dataset import make_dataset
from lightning_modules import System
from runtime.checkpoint import CHECKPOINT_KEY

STEP = "training step"
LOADED_S = 0.5
NAMES = {"vqvae": "VQ-VAE-2", "top": "Top prior", "bottom": "Bottom prior", "classifier": "ResNet-50"}
LEFT_OUT_IN_QUICK = ("top", "bottom", "classifier")  # their steps take seconds


def measure_loaders(plan: Plan, num_photos: int = 48, num_sounds: int = 24, photo_size: int = 400) -> Part:
    """Samples a second that each training loader gives, against those that the training step takes.

    Args:
        plan: how to measure.
        num_photos, num_sounds: of each of two classes.
        photo_size: pixels of a photo's sides.
    """
    found: list[Row] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tell("loaders: photos and sounds")
        make_dataset(folder / "data", num_photos, num_sounds, plan.seed, photo_size)
        for system in NAMES:  # the VQ-VAE first, for the priors learn its codes
            if plan.is_quick and system in LEFT_OUT_IN_QUICK:
                found.append(Row(case_of(system), "loader", "samples/s", [], remark=LEFT_OUT))
            else:
                found += measure_loader(plan, system, folder)
    return Part("loaders", "Loading of the training data", found)


def measure_loader(plan: Plan, system: str, folder: Path) -> list[Row]:
    """One system; that of the VQ-VAE leaves a checkpoint for the others."""
    num = BATCH_SIZES[system]
    tell(f"loaders: {case_of(system)}")
    checkpoint = folder / "vqvae.ckpt"
    options = ["--data.root", str(folder / "data"), "--data.cache_dir", str(folder / "cache")]
    options += ["--data.batch_size", str(num)]
    if system in ("top", "bottom"):
        options += ["--data.vqvae", str(checkpoint), "--data.num_augmentations", "1"]
    parts = build(plan, system, *options)
    parts.datamodule.prepare_data()
    parts.datamodule.setup("fit")
    if system == "vqvae":
        store(parts.model, parts.datamodule.facts(), checkpoint)
    loader = parts.datamodule.train_dataloader()
    step = system_step(plan, parts.model, num)
    warm_up([step, lambda: num_loaded(loader)])
    contenders = {"loader": lambda: loaded_a_second(plan, loader), STEP: lambda: num / plan.seconds(step)}
    return rows(case_of(system), "samples/s", plan.interleaved(contenders), (STEP,))


def case_of(system: str) -> str:
    """Its name in the table."""
    return f"{NAMES[system]}, batch {BATCH_SIZES[system]}"


def store(system: System, facts: dict[str, Any], path: Path) -> None:
    """A checkpoint as a fit writes it, with the weights as they are."""
    stored = {"system": system.describe(), "facts": facts}
    torch.save({CHECKPOINT_KEY: stored, "state_dict": system.state_dict()}, path)


def loaded_a_second(plan: Plan, loader: DataLoader) -> float:
    """Samples, over whole passes: what workers have loaded ahead of the clock would count as free."""
    num, seconds = 0, 0.0

    def load() -> None:
        nonlocal num
        num += num_loaded(loader)

    while seconds < LOADED_S:
        seconds += plan.seconds(load)
    return num / seconds


def num_loaded(loader: DataLoader) -> int:
    """Samples of one pass."""
    return sum(len(batch["index"]) for batch in loader)
