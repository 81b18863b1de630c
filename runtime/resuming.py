"""The checkpoint that a fit resumes from, here or in the outputs of an earlier machine."""

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from lightning.pytorch.utilities import rank_zero_only

from media.files import atomic_path
from runtime.checkpoint import CHECKPOINT_KEY, check_equal, read_checkpoint
from runtime.described import Described
from runtime.tell import is_first_process, tell

LAST, PREVIOUS = "last.ckpt", "previous.ckpt"
CONFIG_KEY = "config"
FRESH = ".fresh"  # marks a folder that was started again: earlier outputs are not searched
DATA_FOLDERS = {"photos", "sounds"}
IGNORED_CHANGES = ("ckpt_path", "fresh", "config", "session.", "earlier_outputs")


@dataclass(frozen=True)
class ResumePoint:
    """A readable checkpoint of this project.

    Attributes:
        path: the file.
        step: optimiser steps done.
        epoch: epochs done.
        config: nested configuration of its fit; empty if it has none.
        system: description by `System.describe`.
    """

    path: Path
    step: int
    epoch: int
    config: dict[str, Any]
    system: dict[str, Any]

    def fits(self, system: Described) -> bool:
        """Whether this checkpoint is of such a system, with networks of these sizes."""
        try:
            check_equal("", self.system, system.describe())
        except ValueError:
            return False
        return True


def read_resume_point(path: Path) -> ResumePoint:
    """Reads a checkpoint; raises ValueError if the file is damaged or of another project."""
    checkpoint = read_checkpoint(path)
    config = yaml.safe_load(checkpoint.get(CONFIG_KEY) or "{}")
    system = checkpoint[CHECKPOINT_KEY]["system"]
    return ResumePoint(path, checkpoint["global_step"], checkpoint["epoch"], config, system)


def find_resume_point(folder: Path, is_ours: bool = False) -> ResumePoint | None:
    """Finds the newest good checkpoint of a folder by its step; a damaged or foreign file is reported and skipped.

    If `is_ours`, the fit writes here: a bad file is renamed, so that the next checkpoint does not replace a good one.

    Raises:
        ValueError: if there are checkpoints and none of them is good.
    """
    paths = [path for path in (folder / LAST, folder / PREVIOUS) if path.is_file()]
    good = _read_good(read_resume_point, paths)
    bad = sorted({*paths} - {point.path for point in good})
    if bad and not good:
        raise ValueError(
            f"None of {', '.join(map(str, bad))} can be read. Add --fresh to start again; it moves them aside."
        )
    for path in bad if is_ours and is_first_process() else ():
        path.replace(path.with_suffix(".damaged"))
    return _newest(good)


def _read_good(read: Callable[[Path], ResumePoint | None], paths: Iterable[Path]) -> list[ResumePoint]:
    """Reads checkpoints, or folders of them; reports and skips those that `read` refuses."""
    points = []
    for path in paths:
        try:
            points.append(read(path))
        except ValueError as error:
            tell(f"Skipped: {error}")
    return [point for point in points if point is not None]


def _newest(points: list[ResumePoint]) -> ResumePoint | None:
    return max(points, key=lambda point: point.step, default=None)


def newest_resume_point(folder: Path, roots: list[str], system: Described, cache_dir: str | None) -> ResumePoint | None:
    """Finds the checkpoint to resume from, in `folder` or in earlier outputs, which are copied if they are newer.

    In distributed training the first process copies, before it starts the others.
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
    if aside := move_aside(folder):
        tell(f"The files of {folder} are in {aside} now.")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FRESH).touch()


def earlier_folders(folder: Path, roots: list[str]) -> Iterator[Path]:
    """Yields folders at any depth under `roots` with the same end of the path, such as `…/checkpoints/vqvae`."""
    tail = folder.parts[-2:] if folder.is_absolute() else folder.parts
    for root in roots:
        for found, subfolders, _ in os.walk(root):
            subfolders[:] = sorted(name for name in subfolders if name not in DATA_FOLDERS)
            if Path(found).parts[-len(tail) :] == tail and Path(found).resolve() != folder.resolve():
                yield Path(found)


def find_earlier(folder: Path, roots: list[str], system: Described) -> ResumePoint | None:
    """Finds the checkpoint of this system with the most steps in earlier outputs; reports the ones that do not fit."""
    points = _read_good(find_resume_point, earlier_folders(folder, roots))
    fitting = [point for point in points if point.fits(system)]
    for point in points:
        if point not in fitting:
            tell(f"Skipped: {point.path} was written by another system, or with a network of other sizes.")
    return _newest(fitting)


def bring_here(point: ResumePoint, folder: Path, cache_dir: str | None) -> ResumePoint:
    """Copies an earlier folder to that of this fit, with the splits and codes of its cache.

    The checkpoints come last, so that an interrupted copy starts again.
    """
    move_aside(folder)
    source = point.path.parent
    for path in sorted(filter(Path.is_file, source.iterdir()), key=lambda path: path.suffix == ".ckpt"):
        if not path.name.startswith(".") or path.name == FRESH:
            copy_file(path, folder / path.name)
    if cache_dir is not None:
        depth = 2 if folder.is_absolute() else len(folder.parts)
        old_cache = source.parents[depth - 1] / Path(cache_dir).name
        for path in [*old_cache.glob("codes/*.npz"), *old_cache.glob("*/split.json")]:
            target = Path(cache_dir) / path.relative_to(old_cache)
            if not target.exists():
                copy_file(path, target)
    return read_resume_point(folder / point.path.name)


def copy_file(source: Path, target: Path) -> None:
    """Copies a file so that the copy is whole or absent."""
    with atomic_path(target) as temporary:
        shutil.copyfile(source, temporary)


def move_aside(folder: Path) -> Path | None:
    """Moves a folder's files into a new subfolder, `before-1`, `before-2`, …; returns it, or None without files."""
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
    """Finds a checkpoint that a system needs: `path`, or if it is missing, the newest such one in earlier outputs."""
    if Path(path).is_file():
        return path
    candidates = [folder / Path(path).name for folder in earlier_folders(Path(path).parent, roots)]
    newest = _newest(_read_good(read_resume_point, filter(Path.is_file, candidates)))
    if newest is None:
        return path
    tell(f"There is no {path}; using {newest.path} of step {newest.step}.")
    return str(newest.path)


def changes(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Lists the values of the configuration that differ, as `trainer.max_steps: 100 → 200`."""
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
