"""The one reader of a root with `photos/<class>/*` and `sounds/<class>/*`, paired by the names of the classes only."""

import hashlib
import logging
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal

from lightning.pytorch.utilities import rank_zero_only
from rich.progress import track

Kind = Literal["sounds", "photos"]

log = logging.getLogger(__name__)

LAYOUT = "<root>/sounds/<class>/* and <root>/photos/<class>/*, with the same classes in both"
MAX_UNREADABLE_FRACTION = 0.1


def natural_key(name: str) -> tuple:
    """Sort key with which `cat_2` comes before `cat_10`, as the numbers of a recording's excerpts are meant."""
    parts = re.split(r"(\d+)", name.casefold())
    return (*(int(part) if part.isdigit() else part for part in parts), name)


def class_of(name: str) -> str:
    """`cat` of the file `cat/cat_1.flac`."""
    return name.split("/", 1)[0]


def root_key(root: str) -> str:
    """A short readable name for a root, unique to its absolute path; the root's folder inside a cache is called so."""
    path = Path(root).resolve()
    return f"{path.name or 'root'}-{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"


def file_version(path: Path) -> str:
    """Changes when a file is replaced; what is kept in a cache about the file is valid for one version."""
    status = path.stat()
    return hashlib.sha256(f"{status.st_size} {status.st_mtime_ns}".encode()).hexdigest()[:8]


def list_classes(root: str, kind: Kind) -> list[str]:
    """The classes of a root: the names of the folders in `<root>/<kind>`, in natural order. A label is a place in it.

    The other kind may be missing: a sound model needs no photos. Where both are there, their classes are the same.

    Raises:
        FileNotFoundError: where the root or its folder of this kind is missing or holds no class.
        ValueError: where photos and sounds have different classes.
    """
    folder = Path(root) / kind
    if not Path(root).is_dir():
        raise FileNotFoundError(f"The data root {root!r} is not a folder. Expected {LAYOUT}.")
    if not folder.is_dir():
        raise FileNotFoundError(f"Expected {LAYOUT}; there is no {kind}/ in {root!r}, only {_visible(Path(root))}.")
    classes = _folders(folder)
    if not classes:
        raise FileNotFoundError(
            f"Expected {LAYOUT}; {str(folder)!r} has no folder of a class, only {_visible(folder)}."
        )

    other_kind = "photos" if kind == "sounds" else "sounds"
    other_folder = Path(root) / other_kind
    if other_folder.is_dir() and (other_classes := _folders(other_folder)) != classes:
        raise ValueError(
            f"Photos and sounds are paired by the names of their folders, but in {root!r} {kind}/ has the classes"
            f" {classes} and {other_kind}/ has {other_classes}. Rename, add or remove folders until both are the same."
        )
    return classes


def list_files(root: str, kind: Kind) -> list[str]:
    """Every file of a kind as `<class>/<file>`, by class and in natural order; hidden files are skipped.

    Raises:
        FileNotFoundError: as `list_classes`, and where a class has no file.
        ValueError: as `list_classes`, and where a class holds folders, whose files would be missed.
    """
    names = []
    for class_name in list_classes(root, kind):
        folder = Path(root) / kind / class_name
        entries = _visible(folder)
        if folders := [name for name in entries if (folder / name).is_dir()]:
            raise ValueError(f"Expected files only in the class {str(folder)!r}, found the folders {folders}.")
        if not entries:
            raise FileNotFoundError(f"The class {str(folder)!r} is empty. Expected {LAYOUT}.")
        names += [f"{class_name}/{name}" for name in entries]
    return names


def check_num_classes(expected: int, classes: list[str]) -> None:
    """Raises a ValueError where the configured number of classes is not that of the folders."""
    if expected != len(classes):
        raise ValueError(
            f"num_classes is {expected}, but the data has {len(classes)} classes: {classes}."
            f" Set num_classes to {len(classes)}, or point root at other data."
        )


def read_each(names: Iterable[str], read: Callable[[str], object], description: str) -> dict[str, str]:
    """Calls `read` for every name, with a progress bar.

    Returns: why it cannot be read, for each name where `read` raised a ValueError (as the readers of media files do).
    """

    def reason(name: str) -> str | None:
        try:
            read(name)
        except ValueError as error:
            return str(error)
        return None

    names = list(names)
    if not names:
        return {}
    reasons = {name: reason(name) for name in track(names, description=description, transient=True)}
    return {name: why for name, why in reasons.items() if why is not None}


def leave_out_unreadable(names: list[str], unreadable: dict[str, str]) -> list[str]:
    """The names that can be read; the others are reported, each by name and with the reason.

    Raises:
        ValueError: where more than a tenth of a class cannot be read: then something is wrong with the data.
    """
    for class_name in dict.fromkeys(map(class_of, names)):
        num_files = sum(class_of(name) == class_name for name in names)
        bad = [name for name in names if class_of(name) == class_name and name in unreadable]
        if len(bad) > MAX_UNREADABLE_FRACTION * num_files:
            raise ValueError(
                f"{len(bad)} of the {num_files} files of class {class_name!r} cannot be read, more than one in ten."
                f" Repair or remove them:\n{_lines({name: unreadable[name] for name in bad})}"
            )
    report_unreadable(unreadable)
    return [name for name in names if name not in unreadable]


def report_unreadable(unreadable: dict[str, str]) -> None:
    """Names the files that are left out, and why, in one message."""
    if unreadable:
        rank_zero_only(log.warning)("%d unreadable files are left out:\n%s", len(unreadable), _lines(unreadable))


def _lines(unreadable: dict[str, str]) -> str:
    return "\n".join(f"  {name}: {why}" for name, why in unreadable.items())


def _visible(folder: Path) -> list[str]:
    return sorted((path.name for path in folder.iterdir() if not path.name.startswith(".")), key=natural_key)


def _folders(folder: Path) -> list[str]:
    return [name for name in _visible(folder) if (folder / name).is_dir()]
