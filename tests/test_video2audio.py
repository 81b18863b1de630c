"""The command that an installation gives, run by a script as pip writes it."""

import os
import re
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from runtime.program import VERSION
from tests.test_layers import LEVEL, ROOT, files_of, third_party_imports_of

SCRIPT = "import sys\nfrom video2audio import main\nsys.exit(main())\n"
OPTIONAL = {"ai_edge_litert", "pillow_heif", "librosa"}  # a listener, HEIC, real films; their absence is reported


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A user's folder, and beside it the script and packages that have the same names as the project's."""
    for name in ("here", "bin", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / "bin/video2audio").write_text(SCRIPT)
    (tmp_path / "other/media.py").write_text("raise SystemExit('the media of another project')")
    return tmp_path / "here"


def run(folder: Path, *command: str) -> subprocess.CompletedProcess:
    path = os.pathsep.join([str(folder.parent / "other"), str(ROOT)])
    return subprocess.run(
        [sys.executable, *command], cwd=folder, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True
    )


def test_both_commands_print_the_version(folder: Path) -> None:
    for program in ("../bin/video2audio", str(ROOT / "cli.py")):
        ended = run(folder, program, "--version")
        assert (ended.returncode, ended.stdout) == (0, f"video2audio {VERSION}\n"), ended.stderr


def test_it_finds_configs_from_any_folder_and_prints_commands_under_its_own_name(folder: Path) -> None:
    ended = run(folder, "../bin/video2audio", "test", "--config", "vqvae.yaml", "--config", "demo.yaml")
    assert ended.returncode == 1
    command = "video2audio fit --config vqvae.yaml --config demo.yaml"
    assert f"no checkpoint outputs/demo/checkpoints/vqvae/best.ckpt. Make it with: {command}\n" in ended.stderr


@pytest.mark.skipif(os.name != "posix", reason="Windows has no signals")
def test_ctrl_c_during_the_imports_ends_it_without_a_word(folder: Path) -> None:
    (folder.parent / "other/wandb.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    ended = run(folder, "../bin/video2audio", "--version")
    assert (ended.returncode, ended.stdout, ended.stderr) == (-2, "", "")


def test_the_requirements_name_each_package_that_the_project_imports() -> None:
    named = {re.split(r"[\[<>=,\s]", line)[0].lower() for line in (ROOT / "requirements.txt").read_text().splitlines()}
    distributions = packages_distributions()  # Python 3.10 does not know them all
    for layer in LEVEL.keys() - {"tests"}:
        for file in files_of(layer):
            for name in third_party_imports_of(file.read_text()) - OPTIONAL:
                assert {found.lower() for found in distributions.get(name, [name])} & named, f"{file} imports {name}"
