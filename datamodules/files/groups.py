"""Groups of files in a data root, which stay in one part of the split."""

import csv
import re
from collections.abc import Iterable
from pathlib import Path

from datamodules.files.data_root import DataRoot, class_of, normal_name
from runtime.tell import tell

GROUPS_FILE = "groups.csv"
NUM_NAMED = 5


def find_groups(root: DataRoot, kind: str, names: Iterable[str]) -> dict[str, str]:
    """The group of each file of a kind that has one, by `root.group_pattern`, or else by `<root>/groups.csv`.

    A group is, for example, a recording, a breed or a pitch that a test must not share with the training. It may have
    files of several classes. The CSV file has the columns `file` (`<kind>/<class>/<file>`) and `group`; others are
    ignored.

    Raises:
        ValueError: if the pattern matches no file, or the CSV file is malformed; the message has the line.
    """
    names = list(names)
    if root.group_pattern is None:
        return _listed_groups(root, kind, names)
    matches = {name: re.search(root.group_pattern, name.rpartition("/")[2]) for name in names}
    groups = {name: match[1] for name, match in matches.items() if match and match[1]}
    if names and not groups:
        raise ValueError(f"group_pattern {root.group_pattern!r} finds a group in no file of {kind}/, as {names[0]!r}.")
    return groups


def _listed_groups(root: DataRoot, kind: str, names: list[str]) -> dict[str, str]:
    path = Path(root.path) / GROUPS_FILE
    if not path.is_file():
        return {}
    listed: dict[str, str] = {}
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        if not {"file", "group"} <= set(reader.fieldnames or ()):
            raise ValueError(f"{path} has the columns {reader.fieldnames}, expected file and group.")
        for row in reader:
            name, group = normal_name(row["file"] or ""), row["group"]
            if name.count("/") != 2 or not group or listed.setdefault(name, group) != group:
                raise ValueError(
                    f"{path}, line {reader.line_num}: file is {row['file']!r} and group {group!r}, expected"
                    " <kind>/<class>/<file>, and one group for each file."
                )
    of_kind = {name.partition("/")[2]: group for name, group in listed.items() if name.startswith(f"{kind}/")}
    known = {normal_name(name): name for name in names}
    classes = set(map(class_of, known))
    if unknown := [name for name in of_kind if class_of(name) in classes and name not in known]:
        some = ", ".join(unknown[:NUM_NAMED]) + (", …" if len(unknown) > NUM_NAMED else "")
        tell(f"{path} names {len(unknown)} files that are not among the readable files of {kind}/: {some}")
    return {known[name]: group for name, group in of_kind.items() if name in known}
