"""The split into training, validation and test files: decided once, and shared by all systems."""

import json
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping
from itertools import accumulate
from typing import Any

from datamodules.files.data_root import DataRoot, class_of, natural_key, normal_name
from datamodules.files.groups import find_groups
from media.files import atomic_path
from runtime.tell import tell

PARTS = ("train", "val", "test")
TRAIN_FRACTION, VAL_FRACTION = 0.70, 0.15


def assign_split(
    weights: dict[str, float], stored: Mapping[str, str] | None = None, groups: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Splits the files of each class into train, val and test: 70, 15 and 15 % of the weight, in contiguous blocks.

    Why blocks: consecutive numbers are often overlapping excerpts of one recording, and a random split would test on
    training sounds. For the same reason a new file joins its nearest stored neighbour.

    Args:
        weights: weight of each `<class>/<file>`: seconds of a sound, 1 for a photo.
        stored: earlier split, whose files keep their part. A new file gets the part of the stored file before it in
            natural order, or of the first.
        groups: group of each file that has one. Files of a group get one part, also across classes. A group takes the
            place of its first file.

    Returns:
        The part of each file of `weights`, in natural order.

    Raises:
        ValueError: if a class would lack one of the parts.
    """
    stored, groups = stored or {}, groups or {}
    part_of: dict[str, str] = {}
    for name, part in stored.items():
        part_of.setdefault(groups.get(name, name), part)
    split: dict[str, str] = {}
    for class_name in sorted({class_of(name) for name in weights}, key=natural_key):
        names = sorted((name for name in weights if class_of(name) == class_name), key=natural_key)
        old_names = sorted((name for name in stored if class_of(name) == class_name), key=natural_key)
        if old_names:
            old_keys = [natural_key(name) for name in old_names]
            for name in names:
                nearest = old_names[max(bisect_right(old_keys, natural_key(name)) - 1, 0)]
                part_of.setdefault(groups.get(name, name), stored[nearest])
        else:
            grouped: Counter[str] = Counter()
            for name in names:
                grouped[groups.get(name, name)] += weights[name]
            _assign_blocks(class_name, grouped, part_of)
        parts = [stored.get(name) or part_of[groups.get(name, name)] for name in names]
        if missing := [part for part in PARTS if part not in parts]:
            raise ValueError(
                f"No file of class {class_name!r} is left for {' and '.join(missing)}: the {len(names)} files found"
                " were divided earlier, with others that are gone. Put them back, or delete split.json in the cache"
                " and train again."
            )
        split |= zip(names, parts, strict=True)
    return split


def decide_split(
    root: DataRoot, kind: str, weights: dict[str, float], groups: Mapping[str, str] | None = None
) -> dict[str, str]:
    """`assign_split` of a kind, with `split.json` in the root's cache as its memory.

    Absent files stay in it, so they get their part again when they return. If the root has a stored split, the file is
    neither read nor written.

    Args:
        root, kind: data root, and folder in it.
        weights: weight of each file.
        groups: group of each file that has one; None to find them, see `find_groups`.

    Raises:
        ValueError: as `assign_split` and `find_groups`.
    """
    groups = find_groups(root, kind, weights) if groups is None else groups
    path = root.cache / "split.json"
    fixed = split_of_kind(root.stored_split, kind)
    splits = json.loads(path.read_text()) if path.exists() and not fixed else {}
    stored = fixed or split_of_kind(splits, kind)
    split = assign_split(weights, stored, groups)
    if not fixed and not split.items() <= stored.items():
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(splits | {kind: {**stored, **split}}, indent=1))
    num_parts = Counter(group for group, _ in {(group, split[name]) for name, group in groups.items()})
    if torn := sorted(group for group, number in num_parts.items() if number > 1):
        some = ", ".join(torn[:5]) + (", …" if len(torn) > 5 else "")
        tell(f"Files of {len(torn)} groups of {kind}/ are in several parts, as an earlier split has them: {some}")
    return split


def split_of_kind(split: Mapping[str, Any], kind: str) -> dict[str, str]:
    """The part of each file of a kind. In version 0.1 a split had one kind, without its name."""
    is_nested = all(isinstance(parts, Mapping) for parts in split.values())
    stored = split.get(kind, {}) if is_nested else split
    return {normal_name(class_of(name)) + name[len(class_of(name)) :]: part for name, part in stored.items()}


def _assign_blocks(class_name: str, weights: Mapping[str, float], part_of: dict[str, str]) -> None:
    """Adds missing groups to `part_of`, so that each part gets its share of the weight of all groups."""
    given: Counter[str] = Counter()
    for group in weights.keys() & part_of.keys():
        given[part_of[group]] += weights[group]
    new = [group for group in weights if group not in part_of]
    needed = [int(not given[part]) for part in PARTS]
    if len(new) < sum(needed):
        raise ValueError(
            f"Class {class_name!r} has {len(new)} readable files, expected at least {sum(needed)}: one each for"
            f" {', '.join(part for part in PARTS if not given[part])}. Files of a group count as one, and those of the"
            f" {len(weights) - len(new)} groups that other classes share are not counted. Add files."
        )
    total = sum(weights.values())
    before = [0.0, *accumulate(weights[group] for group in new)]

    def boundary(target: float, first: int, last: int) -> int:
        return min(range(first, last + 1), key=lambda index: abs(before[index] - target))

    num_train = boundary(TRAIN_FRACTION * total - given["train"], needed[0], len(new) - needed[1] - needed[2])
    until_val = (TRAIN_FRACTION + VAL_FRACTION) * total - given["train"] - given["val"]
    end_of_val = boundary(until_val, num_train + needed[1], len(new) - needed[2])
    blocks = ["train"] * num_train + ["val"] * (end_of_val - num_train) + ["test"] * (len(new) - end_of_val)
    part_of |= zip(new, blocks, strict=True)
