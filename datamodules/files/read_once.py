"""Records in the cache of the files read, so that each file is read once."""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from rich.progress import track

from datamodules.files.data_root import DataRoot, class_of
from media.files import atomic_path
from runtime.tell import tell

MAX_UNREADABLE_FRACTION = 0.1


def read_once(
    root: DataRoot,
    kind: str,
    record_name: str,
    read: Callable[[str, Path, str], dict[str, Any]],
    is_kept: Callable[[str, str], bool] = lambda name, version: True,
    retry_unreadable: bool = False,
    with_other: bool = False,
) -> dict[str, dict[str, Any]]:
    """Reads the new and changed files of a kind. Records of the others are taken from the cache.

    Args:
        root, kind: data root, and folder in it.
        record_name: name of the records in the root's cache, without suffix.
        read: function of name, path and version that returns facts about a file as plain data. Raises ValueError if the
            file is unreadable.
        is_kept: function of name and version: whether everything that `read` stored is still there.
        retry_unreadable: whether unreadable files are read again.
        with_other: see `DataRoot.files`.

    Returns:
        The record of each file by its name: `version`, `unreadable` (the reason, or None), and the facts from `read`.
    """
    record_path = root.cache / f"{record_name}.json"
    records = json.loads(record_path.read_text()) if record_path.exists() else {}
    paths = root.files(kind, with_other)
    versions = {name: file_version(path) for name, path in paths.items()}

    def is_known(name: str) -> bool:
        record = records.get(name)
        if record is None or record["version"] != versions[name]:
            return False
        return is_kept(name, versions[name]) if record["unreadable"] is None else not retry_unreadable

    def examine(name: str) -> None:
        if not (paths[name].is_file() and os.access(paths[name], os.R_OK)):
            raise ValueError(f"{paths[name]} is no file that can be opened, as a link to a file that is gone.")
        records[name] = {"version": versions[name], "unreadable": None} | read(name, paths[name], versions[name])

    if new := [name for name in paths if not is_known(name)]:
        for name, reason in read_each(new, examine, f"Reading {kind}").items():
            records[name] = {"version": versions[name], "unreadable": reason}
        with atomic_path(record_path) as temporary:
            temporary.write_text(json.dumps(records, indent=1))
    return {name: records[name] for name in paths}


def file_version(path: Path) -> str:
    """A hash that changes if the file is replaced, for the cache."""
    try:
        status = path.stat()
    except OSError:
        return "missing"
    return hashlib.sha256(f"{status.st_size} {status.st_mtime_ns}".encode()).hexdigest()[:8]


def read_each(names: Iterable[str], read: Callable[[str], object], description: str) -> dict[str, str]:
    """Calls `read` for every name, and returns the reason for each name for which it raised a ValueError."""
    reasons = {}
    for name in track(list(names), description=description, transient=True):
        try:
            read(name)
        except ValueError as error:
            reasons[name] = str(error)
    return reasons


def leave_out_unreadable(records: Mapping[str, dict[str, Any]]) -> list[str]:
    """Names of the files that are readable by their records, see `read_once`. The others are reported.

    Raises:
        ValueError: if more than a tenth of a class is unreadable.
    """
    unreadable = {name: record["unreadable"] for name, record in records.items() if record["unreadable"] is not None}
    for class_name in dict.fromkeys(map(class_of, unreadable)):
        num_files = sum(class_of(name) == class_name for name in records)
        bad = {name: reason for name, reason in unreadable.items() if class_of(name) == class_name}
        if len(bad) > MAX_UNREADABLE_FRACTION * num_files:
            raise ValueError(
                f"{len(bad)} of the {num_files} files of class {class_name!r} cannot be read, more than one in ten."
                f" Repair or remove them:\n{_lines(bad)}"
            )
    report_unreadable(unreadable)
    return [name for name in records if name not in unreadable]


def report_unreadable(unreadable: Mapping[str, str]) -> None:
    """Reports the unreadable files, and the reasons, in one message."""
    if unreadable:
        tell(f"{len(unreadable)} unreadable files are left out:\n{_lines(unreadable)}")


def _lines(unreadable: Mapping[str, str]) -> str:
    return "\n".join(f"  {name}: {reason}" for name, reason in unreadable.items())
