"""From which checkpoint a fit resumes, here or in the outputs of an earlier machine."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from lightning.pytorch.utilities import rank_zero_only

from media.files import atomic_path
from runtime.checkpoint import CHECKPOINT_KEY, check_description, read_checkpoint
from runtime.described import Described
from runtime.tell import is_first_process, tell

LAST, PREVIOUS = "last.ckpt", "previous.ckpt"
CONFIG_KEY = "config"
FRESH = ".fresh"  # marks a folder that was started again: earlier outputs are not asked
DATA_FOLDERS = {"photos", "sounds"}
IGNORED_CHANGES = ("ckpt_path", "fresh", "config", "session.", "earlier_outputs")


@dataclass(frozen=True)
class ResumePoint:
    """A readable checkpoint of this project.

    Attributes:
        path: the file.
        step: optimiser steps done.
        epoch: epochs done.
        config: the configuration it was written with, nested; empty if it holds none.
        system: description of what was trained, as `System.describe` gives it.
    """

    path: Path
    step: int
    epoch: int
    config: dict[str, Any]
    system: dict[str, Any]

    def fits(self, system: Described) -> bool:
        """Whether it was written by such a system, with networks of these sizes."""
        try:
            check_description("", self.system, system.describe())
        except ValueError:
            return False
        return True


def read_resume_point(path: Path) -> ResumePoint:
    """Raises ValueError if the file is damaged or foreign."""
    checkpoint = read_checkpoint(path)
    config = yaml.safe_load(checkpoint.get(CONFIG_KEY) or "{}")
    return ResumePoint(
        path, checkpoint["global_step"], checkpoint["epoch"], config, checkpoint[CHECKPOINT_KEY]["system"]
    )


def find_resume_point(folder: Path, is_ours: bool = False) -> ResumePoint | None:
    """The newest good checkpoint of a folder by its step; a damaged or foreign file is named and skipped.

    Args:
        folder: of the checkpoints.
        is_ours: the fit writes here. Where there is a good one, a bad one gets another name then, so that the next
            checkpoint takes its place and not that of the good one.

    Raises:
        ValueError: if there are such files and none of them is good.
    """
    good, bad = [], []
    for path in (folder / LAST, folder / PREVIOUS):
        if path.is_file():
            try:
                good.append(read_resume_point(path))
            except ValueError as error:
                bad.append(path)
                tell(f"Skipped: {error}")
    if bad and not good:
        raise ValueError(
            f"None of {', '.join(map(str, bad))} can be read. Add --fresh to start again; it moves them aside."
        )
    for path in bad if is_ours and is_first_process() else ():
        path.replace(path.with_suffix(".damaged"))
    return max(good, key=lambda point: point.step, default=None)


def newest_resume_point(folder: Path, roots: list[str], system: Described, cache_dir: str | None) -> ResumePoint | None:
    """The checkpoint to resume: in its folder, or in earlier outputs if these are further; they are then copied here.

    In distributed training the first process copies, and does so before it starts the others.
    """
    here = find_resume_point(folder, is_ours=True)
    if (folder / FRESH).exists() or not is_first_process():
        return here
    earlier = find_earlier(folder, roots, system)
    if earlier is None or (here is not None and here.step >= earlier.step):
        return here
    tell(f"Copying {earlier.path.parent} (step {earlier.step}) to {folder}.")
    return bring_here(earlier, folder, cache_dir)


@rank_zero_only
def start_again(folder: Path) -> None:
    """Moves a folder's files aside, and marks it, so that earlier outputs are not resumed either."""
    aside = move_aside(folder)
    if aside is not None:
        tell(f"The files of {folder} are in {aside} now.")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FRESH).touch()


def earlier_folders(folder: Path, roots: list[str]) -> Iterator[Path]:
    """Folders at any depth under `roots` whose path ends as `folder` does: `…/checkpoints/vqvae`."""
    tail = folder.parts[-2:] if folder.is_absolute() else folder.parts
    for root in roots:
        for found, subfolders, _ in os.walk(root):
            subfolders[:] = sorted(name for name in subfolders if name not in DATA_FOLDERS)
            if Path(found).parts[-len(tail) :] == tail and Path(found).resolve() != folder.resolve():
                yield Path(found)


def find_earlier(folder: Path, roots: list[str], system: Described) -> ResumePoint | None:
    """The checkpoint with the highest step of this system in earlier outputs; what does not fit is named."""
    points = []
    for candidate in earlier_folders(folder, roots):
        try:
            point = find_resume_point(candidate)
        except ValueError as error:
            tell(f"Skipped: {error}")
            continue
        if point is not None and point.fits(system):
            points.append(point)
        elif point is not None:
            tell(f"Skipped: {point.path} was written by another system, or with a network of other sizes.")
    return max(points, key=lambda point: point.step, default=None)


def bring_here(point: ResumePoint, folder: Path, cache_dir: str | None) -> ResumePoint:
    """Copies an earlier folder to the place of this fit, with the splits and codes of its cache.

    The checkpoints come last: a copy that breaks off is begun again.
    """
    move_aside(folder)
    source = point.path.parent
    files = sorted((path for path in source.iterdir() if path.is_file()), key=lambda path: path.suffix == ".ckpt")
    for path in files:
        if not path.name.startswith(".") or path.name == FRESH:
            _copy(path, folder / path.name)
    if cache_dir is not None:
        depth = 2 if folder.is_absolute() else len(folder.parts)
        old_cache = source.parents[depth - 1] / Path(cache_dir).name
        for pattern in ("codes/*.npz", "*/split.json"):
            for path in old_cache.glob(pattern):
                target = Path(cache_dir) / path.relative_to(old_cache)
                if not target.exists():
                    _copy(path, target)
    return read_resume_point(folder / point.path.name)


def _copy(source: Path, target: Path) -> None:
    with atomic_path(target) as temporary:
        shutil.copyfile(source, temporary)


def move_aside(folder: Path) -> Path | None:
    """Moves a folder's files into a new one inside it, `before-1`, `before-2`, …; returns that, None if it is
    empty."""
    files = [path for path in folder.iterdir() if path.is_file()] if folder.is_dir() else []
    if not files:
        return None
    number = 1 + max((int(path.name[7:]) for path in folder.glob("before-*") if path.name[7:].isdigit()), default=0)
    aside = folder / f"before-{number}"
    aside.mkdir()
    for path in files:
        os.replace(path, aside / path.name)
    return aside


def find_checkpoint(path: str, roots: list[str]) -> str:
    """A fitted checkpoint that a system is built on: `path`, or if it is missing, its like in earlier outputs."""
    if Path(path).is_file():
        return path
    found = [folder / Path(path).name for folder in earlier_folders(Path(path).parent, roots)]
    points = []
    for candidate in filter(Path.is_file, found):
        try:
            points.append(read_resume_point(candidate))
        except ValueError as error:
            tell(f"Skipped: {error}")
    if not points:
        return path
    best = max(points, key=lambda point: point.step)
    tell(f"There is no {path}; using {best.path} of step {best.step}.")
    return str(best.path)


def changes(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """`trainer.max_steps: 100 → 200` for each value of the configuration that differs."""
    old, new = dict(_flat(before)), dict(_flat(now))
    return [
        f"{key}: {old.get(key)} → {new.get(key)}"
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key) and not key.startswith(IGNORED_CHANGES)
    ]


def _flat(config: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(config, dict):
        for key, value in config.items():
            yield from _flat(value, f"{prefix}.{key}" if prefix else key)
    else:
        yield prefix, config
