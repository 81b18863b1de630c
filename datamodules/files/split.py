"""Which file trains, which validates and which tests: decided once, kept as plain data, shared by all systems."""

import json
from bisect import bisect_right
from itertools import accumulate
from pathlib import Path

from datamodules.files.data_root import Kind, class_of, natural_key, root_key
from media.files import atomic_path

PARTS = ("train", "val", "test")
TRAIN_FRACTION, VAL_FRACTION = 0.70, 0.15


def assign_split(weights: dict[str, float], stored: dict[str, str] | None = None) -> dict[str, str]:
    """Divides the files of each class into train, val and test: 70, 15 and 15 % of the weight, in contiguous blocks.

    Why blocks: neighbouring numbers are often overlapping excerpts of one recording, and a random division would
    test on what was trained on. For the same reason a new file joins its nearest stored neighbour.

    Args:
        weights: `<class>/<file>` to its weight (seconds of a sound, 1 for a photo).
        stored: an earlier division. Its files keep their part, and a new one gets the part of the stored file before
            it in natural order (the one after it where there is none before). A class that it lacks is divided anew.

    Returns: `<class>/<file>` to `train`, `val` or `test`, for exactly the files of `weights`, in natural order.

    Raises:
        ValueError: where a class would lack one of the parts.
    """
    split: dict[str, str] = {}
    for class_name in sorted({class_of(name) for name in weights}, key=natural_key):
        names = sorted((name for name in weights if class_of(name) == class_name), key=natural_key)
        old_names = sorted((name for name in stored or {} if class_of(name) == class_name), key=natural_key)
        if old_names:
            old_keys = [natural_key(name) for name in old_names]
            nearest = [max(bisect_right(old_keys, natural_key(name)) - 1, 0) for name in names]
            parts = [stored[old_names[place]] for place in nearest]
        else:
            parts = _blocks(class_name, [weights[name] for name in names])
        if missing := [part for part in PARTS if part not in parts]:
            raise ValueError(
                f"No file of class {class_name!r} is left for {' and '.join(missing)}: the {len(names)} files found"
                f" were divided earlier, with others that are gone. Put them back, or delete split.json in the cache"
                " and train anew."
            )
        split |= zip(names, parts, strict=True)
    return split


def split_path(root: str, cache_dir: str) -> Path:
    """Where the division of a root is kept: one file for its sounds and its photos."""
    return Path(cache_dir) / root_key(root) / "split.json"


def decide_split(
    root: str, cache_dir: str, kind: Kind, weights: dict[str, float], stored: dict[str, str] | None = None
) -> dict[str, str]:
    """`assign_split` that remembers: what was decided before is read from `split_path`, what is new is written there.

    Files that are absent now stay in the JSON file, so that they find their part again when they come back.
    With a `stored` split (a checkpoint's) that file is neither read nor written.
    """
    if stored:
        return assign_split(weights, stored)
    path = split_path(root, cache_dir)
    splits = json.loads(path.read_text()) if path.exists() else {}
    stored = splits.get(kind, {})
    split = assign_split(weights, stored)
    if not split.items() <= stored.items():
        splits[kind] = {**stored, **split}
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(splits, indent=1))
    return split


def _blocks(class_name: str, weights: list[float]) -> list[str]:
    num_files = len(weights)
    if num_files < len(PARTS):
        raise ValueError(
            f"Class {class_name!r} has {num_files} readable files, expected at least {len(PARTS)}:"
            f" one each for {', '.join(PARTS)}. Add files."
        )
    total = sum(weights)
    before = [0.0, *accumulate(weights)]

    def boundary(fraction: float, first: int, last: int) -> int:
        return min(range(first, last + 1), key=lambda index: abs(before[index] - fraction * total))

    num_train = boundary(TRAIN_FRACTION, 1, num_files - 2)
    end_of_val = boundary(TRAIN_FRACTION + VAL_FRACTION, num_train + 1, num_files - 1)
    return ["train"] * num_train + ["val"] * (end_of_val - num_train) + ["test"] * (num_files - end_of_val)
