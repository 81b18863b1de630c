"""The `video2audio` command of an installation: equal to `python cli.py`, from any folder."""

import runpy
import sys
from pathlib import Path


def main() -> None:
    """Runs `cli.py` as Python itself does, so that Ctrl-C, exit codes and further processes are the same."""
    path = Path(__file__).with_name("cli.py")
    sys.path.insert(0, str(path.parent))  # before packages of other projects with the same names
    runpy.run_path(str(path), run_name="__main__")
