"""The notebook is run, cell by cell, where other folders stand in for Kaggle's."""

import json
import os
import shutil
import sys
from pathlib import Path

import pytest
from IPython.core.interactiveshell import InteractiveShell

from demo.video import make_video
from tests.conftest import PROJECT, TINY, working_folder

NOTEBOOK = PROJECT / "notebooks" / "kaggle.ipynb"
CODE = ("*.py", "*.yaml", "*.css", "*.js", "*.html", "requirements.txt")
AGES = 1_000_000  # this machine may have been up for longer than a session lasts
SKIPPED = ("pip install", "cli.py doctor")  # installed already; has a test of its own


def cells() -> list[str]:
    return ["".join(c["source"]) for c in json.loads(NOTEBOOK.read_text())["cells"] if c["cell_type"] == "code"]


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> InteractiveShell:
    monkeypatch.setenv("KAGGLE_KERNEL_RUN_TYPE", "Batch")
    monkeypatch.setenv("WANDB_MODE", "disabled")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    yield InteractiveShell.instance()
    InteractiveShell.clear_instance()


def run(shell: InteractiveShell, source: str) -> None:
    shell.user_ns["_exit_code"] = 0
    shell.run_cell(source).raise_error()
    assert shell.user_ns["_exit_code"] == 0, source


def session(shell: InteractiveShell, folder: Path, wanted: tuple[str, ...]) -> None:
    """The cells of one session on a new machine: an empty working folder beside the inputs."""
    working = folder / "working"
    settings = f"--config tiny.yaml --earlier_outputs [{folder / 'input'}] --session.hours {AGES}"
    for path in (path for pattern in CODE for path in PROJECT.rglob(pattern)):
        place = path.relative_to(PROJECT)
        if not {".venv", "tests", "outputs"} & set(place.parts):
            (working / "video2audio" / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, working / "video2audio" / place)
    shutil.copytree(TINY, working / "video2audio" / "configs" / "tiny")
    settings_cell, *rest = cells()
    run(shell, settings_cell)
    data = folder / "input" / "my-data"
    shell.user_ns |= {"WORKING": working, "DATA": data, "VIDEO": data / "clip.mp4", "OPTIONS": settings}
    for source in rest:
        lines = [line for line in source.splitlines() if not any(word in line for word in SKIPPED)]
        is_wanted = not source.startswith("!python") or any(f"{name}.yaml" in source for name in wanted)
        if is_wanted:
            source = "\n".join(lines).replace(
                "--config video2audio.yaml", "--config video2audio.yaml --config tiny.yaml"
            )
            run(shell, source)


def test_two_sessions_on_two_machines(
    shell: InteractiveShell, data_root: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(data_root, tmp_path / "input" / "my-data")
    make_video(tmp_path / "input" / "my-data" / "clip.mp4", frames_per_second=8, size=(96, 64))
    everything = ("vqvae", "classifier", "top", "bottom", "video2audio")
    with working_folder(tmp_path):
        session(shell, tmp_path, everything)
        printed = capfd.readouterr().out
        assert printed.count("Starting from scratch") == 4
        assert "(Kaggle's limit is 12)" in printed
        assert (tmp_path / "working" / "video2audio" / "outputs" / "clip.mp4").is_file()
        shutil.copytree(tmp_path / "working", tmp_path / "input" / "my-run")
        shutil.rmtree(tmp_path / "working")
        session(shell, tmp_path, ("top",))
        printed = capfd.readouterr().out
    assert "Copying" in printed
    assert "This fit is finished" in printed
