"""The data root, `<root>/<kind>/<class>/*`: any number of kinds, paired by the names of their classes."""

import hashlib
import os
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runtime.tell import tell

OTHER = "_other"  # the folder of files that show none of the classes


@dataclass(frozen=True)
class DataRoot:
    """A data root, and the choices that all its readers share. Nothing is written to it.

    A kind is the name of a folder, such as `sounds`, `photos` or `captions`. A file of a kind is called
    `<class>/<file>`. The folder `_other` is no class. Class folders whose names differ only in their Unicode form are
    one class, as macOS stores é as two characters and other systems as one.

    Args:
        path: folder with `<kind>/<class>/*`.
        cache_dir: folder for everything that is computed from the files.
        classes: names of the classes to use, in any order; None for all.
        group_pattern: regular expression over file names, see `find_groups`.
        stored_split: split of a checkpoint, see `decide_split`.

    Raises:
        ValueError: if `classes` is empty, or `group_pattern` is no regular expression with a group.
    """

    path: str
    cache_dir: str = "cache"
    classes: list[str] | None = None
    group_pattern: str | None = None
    stored_split: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.classes == []:
            raise ValueError('classes is [], expected null for all classes, or names of folders, as "[cat,dog]".')
        try:
            if self.group_pattern is not None and not re.compile(self.group_pattern).groups:
                raise re.error("it has no group in parentheses")
        except re.error as error:
            raise ValueError(
                f"group_pattern is {self.group_pattern!r}, expected one as '^(recording\\d+)_': {error}."
            ) from error

    @property
    def cache(self) -> Path:
        """The folder of this root inside the cache: a readable name, unique to the root's absolute path."""
        path = Path(self.path).resolve()
        return Path(self.cache_dir) / f"{path.name or 'root'}-{hashlib.sha256(os.fsencode(path)).hexdigest()[:8]}"

    def list_classes(self, *kinds: str) -> list[str]:
        """The classes of a system that needs these kinds, in natural order; a label is an index into this list.

        Kinds that are not needed may have other classes. This is reported if they share some of the classes, as it may
        be a typing error, which would keep two systems from fitting together.

        Raises:
            FileNotFoundError: if the root or a kind is missing, or a kind has no class.
            ValueError: if the kinds have different classes, or lack one of `classes`.
        """
        classes = list(self._class_folders(kinds[0]))
        for kind in kinds:
            if (others := list(self._class_folders(kind))) != classes:
                raise ValueError(
                    f"{self._difference(kinds[0], classes, kind, others)} Rename, add or remove folders until both are"
                    " the same, or choose classes that both have with --data.classes."
                )
        for kind, folder in _folders(Path(self.path)).items():
            others = [name for name in self._chosen(_folders(folder)) if name != OTHER]
            if kind not in kinds and others != classes and not set(others).isdisjoint(classes):
                tell(self._difference(kinds[0], classes, kind, others))
        return classes

    def files(self, kind: str, with_other: bool = False) -> dict[str, Path]:
        """Paths of the files of a kind by name, by class and in natural order, without hidden files.

        Args:
            kind: folder in the root.
            with_other: whether to list the files of the folder `_other`, which show none of the classes, as well.

        Raises:
            FileNotFoundError: as `list_classes`, or if a class has no file.
            ValueError: as `list_classes`, or if a class has folders, whose files would be missed.
        """
        paths = {}
        folders = self._class_folders(kind)
        if with_other and (other := Path(self.path) / kind / OTHER).is_dir():
            folders[OTHER] = other
        for class_name, folder in folders.items():
            entries = list_visible(folder)
            if inner := [path.name for path in entries if path.is_dir()]:
                raise ValueError(f"Expected files only in the class {str(folder)!r}, found the folders {inner}.")
            if not entries:
                raise FileNotFoundError(f"The class {str(folder)!r} is empty. Expected {_layout(kind)}.")
            paths |= {f"{class_name}/{path.name}": path for path in entries}
        return paths

    def _class_folders(self, kind: str) -> dict[str, Path]:
        root, folder = Path(self.path), Path(self.path) / kind
        if not root.is_dir():
            raise FileNotFoundError(f"The data root {self.path!r} is not a folder. Expected {_layout(kind)}.")
        if not folder.is_dir():
            found = [path.name for path in list_visible(root)]
            raise FileNotFoundError(f"Expected {_layout(kind)}; there is no {kind}/ in {self.path!r}, only {found}.")
        if not (folders := {name: path for name, path in _folders(folder).items() if name != OTHER}):
            found = [path.name for path in list_visible(folder)]
            raise FileNotFoundError(
                f"Expected {_layout(kind)}; {str(folder)!r} has no folder of a class, only {found}."
            )
        if unknown := [name for name in self.classes or [] if normal_name(name) not in folders]:
            raise ValueError(
                f"--data.classes names {unknown}, but {kind}/ in {self.path!r} has the classes {list(folders)}."
            )
        return self._chosen(folders)

    def _chosen(self, folders: dict[str, Path]) -> dict[str, Path]:
        chosen = folders if self.classes is None else set(map(normal_name, self.classes))
        return {name: folder for name, folder in folders.items() if name in chosen}

    def _difference(self, kind: str, classes: list[str], other_kind: str, others: list[str]) -> str:
        return (
            f"Kinds are paired by the names of their folders, but in {self.path!r} {kind}/ has the classes {classes}"
            f" and {other_kind}/ has {others}."
        )


def natural_key(name: str) -> tuple:
    """Sort key with which `cat_2` comes before `cat_10`."""
    parts = re.split(r"(\d+)", name.casefold())
    return (*(int(part) if part.isdecimal() else part for part in parts), name)


def normal_name(name: str) -> str:
    """A name in the Unicode form in which names are compared."""
    return unicodedata.normalize("NFC", name)


def class_of(name: str) -> str:
    """The class of a file: `cat` for `cat/cat_1.flac`."""
    return name.rpartition("/")[0]


def check_num_classes(expected: int, classes: list[str]) -> None:
    """Raises a ValueError if the folders are not as many as the configured classes."""
    if expected != len(classes):
        raise ValueError(
            f"num_classes is {expected}, but the data has {len(classes)} classes: {classes}."
            f" Set num_classes to {len(classes)}, or point root at other data, or choose with --data.classes."
        )


def check_fitted_on(checkpoint: str, fitted_classes: list[str], root: DataRoot, classes: list[str]) -> None:
    """Raises a ValueError if a system was fitted on other classes than those of a root."""
    if [normal_name(name) for name in fitted_classes] != classes:
        raise ValueError(
            f"{checkpoint} was fitted on the classes {fitted_classes}, and the data in {root.path!r} have {classes}."
            " Point --data.root at the data it was fitted on, or choose its classes with --data.classes."
        )


def _layout(kind: str) -> str:
    return f"<root>/{kind}/<class>/*"


def list_visible(folder: Path) -> list[Path]:
    """Files and folders in a folder that are not hidden, in natural order."""
    paths = (path for path in folder.iterdir() if not path.name.startswith("."))
    return sorted(paths, key=lambda path: natural_key(path.name))


def _folders(folder: Path) -> dict[str, Path]:
    """Visible folders by their normal names, in natural order."""
    folders: dict[str, Path] = {}
    for path in list_visible(folder):
        if path.is_dir() and folders.setdefault(normal_name(path.name), path) != path:
            raise ValueError(
                f"{str(path)!r} is there twice, in two Unicode forms of its name. Move all into one folder."
            )
    return dict(sorted(folders.items(), key=lambda item: natural_key(item[0])))
