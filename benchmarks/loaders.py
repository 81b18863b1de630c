"""Whether the data are loaded as fast as a fit uses them."""

import tempfile
from pathlib import Path

import torch
from torch.utils.data import DataLoader

from benchmarks.measuring import Plan, tell
from benchmarks.models import BATCH_SIZES, build, system_step, warm_up
from benchmarks.records import LEFT_OUT, Part, Row, rows
from demo.dataset import make_dataset
from runtime.checkpoint import CHECKPOINT_KEY

STEP = "training step"
LOADED_S = 0.5
NAMES = {"vqvae": "VQ-VAE-2", "top": "Top prior", "bottom": "Bottom prior", "classifier": "ResNet-50"}
LEFT_OUT_IN_QUICK = ("top", "bottom", "classifier")  # their steps take seconds


def measure_loaders(plan: Plan, num_photos: int = 48, num_sounds: int = 24, photo_size: int = 400) -> Part:
    """Measures the samples per second of each training loader, beside those of the training step.

    The data have `num_photos` and `num_sounds` of each of two classes; photos have `photo_size` pixels a side.
    """
    found: list[Row] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tell("loaders: photos and sounds")
        make_dataset(folder / "data", num_photos, num_sounds, plan.seed, photo_size)
        for system in NAMES:  # the VQ-VAE first, as the priors learn its codes
            if plan.is_quick and system in LEFT_OUT_IN_QUICK:
                found.append(Row(case_of(system), "loader", "samples/s", [], remark=LEFT_OUT))
            else:
                found += measure_loader(plan, system, folder)
    return Part("loaders", "Loading of the training data", found)


def measure_loader(plan: Plan, system: str, folder: Path) -> list[Row]:
    """Measures one system; the VQ-VAE leaves a checkpoint for the others."""
    num, checkpoint = BATCH_SIZES[system], folder / "vqvae.ckpt"
    tell(f"loaders: {case_of(system)}")
    options = ["--data.root", str(folder / "data"), "--data.cache_dir", str(folder / "cache")]
    options += ["--data.batch_size", str(num)]
    if system in ("top", "bottom"):
        options += ["--data.vqvae", str(checkpoint), "--data.num_augmentations", "1"]
    parts = build(plan, system, *options)
    parts.datamodule.prepare_data()
    parts.datamodule.setup("fit")
    if system == "vqvae":  # as a fit stores it, with random weights
        stored = {"system": parts.model.describe(), "facts": parts.datamodule.facts()}
        torch.save({CHECKPOINT_KEY: stored, "state_dict": parts.model.state_dict()}, checkpoint)
    loader = parts.datamodule.train_dataloader()
    step = system_step(plan, parts.model, num)
    warm_up([step, lambda: count_loaded(loader)])
    contenders = {"loader": lambda: loaded_a_second(plan, loader), STEP: lambda: num / plan.seconds(step)}
    return rows(case_of(system), "samples/s", plan.interleaved(contenders), (STEP,))


def case_of(system: str) -> str:
    """Name of a system in the table."""
    return f"{NAMES[system]}, batch {BATCH_SIZES[system]}"


def loaded_a_second(plan: Plan, loader: DataLoader) -> float:
    """Samples per second over whole passes, as within one some would be prefetched before the clock starts."""
    counts: list[int] = []
    seconds = 0.0
    while seconds < LOADED_S:
        seconds += plan.seconds(lambda: counts.append(count_loaded(loader)))
    return sum(counts) / seconds


def count_loaded(loader: DataLoader) -> int:
    """Loads all batches of one pass and counts their samples."""
    return sum(len(batch["index"]) for batch in loader)
