"""Which process works on what, where several of them share a folder."""

import os
import platform
from pathlib import Path

_held: set[Path] = set()


def claim(file: Path) -> str | None:
    """Makes a file that only one process can make, holding its number and host, until `release`.

    A claim that a dead process of this host has left behind is taken over; not on Windows, where a process cannot be
    asked in passing.

    Returns:
        None where it is this process's own now, else in words whose it is.

    Raises:
        OSError: where the file cannot be made.
    """
    takeover = file.with_suffix(".takeover")
    me = f"process {os.getpid()} on {platform.node()}"
    if not _create(file, me):
        owner = _read(file)
        # Of all who find a dead owner, one can make the second file, and it goes on only if nobody was faster.
        if _is_alive(owner, file) or not _create(takeover, me):
            return f"in work by {owner or 'another process'}; if that has died, delete {file}"
        if _read(file) != owner:
            takeover.unlink()
            return "in work by another process"
        os.replace(takeover, file)
    _held.add(file)
    return None


def release(file: Path) -> None:
    """Gives up what this process has claimed."""
    file.unlink(missing_ok=True)
    _held.discard(file)


def _create(file: Path, text: str) -> bool:
    try:
        with file.open("x") as opened:
            opened.write(text)
    except FileExistsError:
        return False
    return True


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except FileNotFoundError:
        return ""


def _is_alive(owner: str, file: Path) -> bool:
    parts = owner.split(" ", 3)
    if len(parts) < 4 or parts[3] != platform.node() or os.name == "nt":  # the first: it is being written, or released
        return True
    number = int(parts[1])
    if number == os.getpid():
        return file in _held  # else it is of a dead process with the same number
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # of another user
        pass
    return True
