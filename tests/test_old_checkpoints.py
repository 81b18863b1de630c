"""Checkpoints of version 0.1 load, resume and predict.

`data/checkpoints_0_1` has the last checkpoint of a tiny fit of each system, the overlay of that fit, and the figures
that version 0.1 computed with it. They were fitted on the demo's data. A ResNet-50 has no small form: its checkpoint is
a JSON file with a shape in place of each tensor.
"""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.cli import LightningCLI

import cli
from demo.dataset import make_dataset
from lightning_modules import load
from tests.conftest import SYSTEMS, working_folder

STORED = Path(__file__).parent / "data" / "checkpoints_0_1"
NUM_STEPS = {"vqvae": 6, "top": 4, "bottom": 4, "classifier": 2}


def run(project: Path, subcommand: str, system: str, *options: str) -> LightningCLI:
    """`python cli.py <subcommand> --config <system>.yaml` with the overlay of the stored fit."""
    configs = ["--config", f"{system}.yaml", "--config", str(STORED / f"{system}.yaml")]
    with working_folder(project):
        return cli.main([subcommand, *configs, "--trainer.logger", "false", *options])


def with_constant_tensors(content: Any) -> Any:
    """Turns `"float32 [64, 3]"` into a tensor of that shape, `"int64 2"` into that number as a tensor, and keys of
    digits into integers."""
    if isinstance(content, dict):
        return {int(key) if key.isdigit() else key: with_constant_tensors(value) for key, value in content.items()}
    if isinstance(content, list):
        return [with_constant_tensors(item) for item in content]
    if isinstance(content, str) and (match := re.fullmatch(r"(float32|int64) (\[.*\]|\S+)", content)):
        dtype, value = getattr(torch, match[1]), json.loads(match[2])
        return torch.full(value, 0.01, dtype=dtype) if isinstance(value, list) else torch.tensor(value, dtype=dtype)
    return content


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the data and the checkpoints of version 0.1."""
    folder = tmp_path_factory.mktemp("project_0_1")
    make_dataset(folder / "data", num_photos=6, num_sounds=6, photo_size=48)
    for system in SYSTEMS:
        checkpoints = folder / "checkpoints" / system
        checkpoints.mkdir(parents=True)
        if system == "classifier":
            content = json.loads((STORED / "classifier.json").read_text(encoding="utf-8"))
            torch.save(with_constant_tensors(content), checkpoints / "last.ckpt")
        else:
            shutil.copy(STORED / f"{system}.ckpt", checkpoints / "last.ckpt")
        shutil.copy(checkpoints / "last.ckpt", checkpoints / "best.ckpt")
    return folder


@pytest.mark.parametrize("system", SYSTEMS)
def test_loaded_weights_are_the_stored_ones(project: Path, system: str) -> None:
    path = project / "checkpoints" / system / "last.ckpt"
    stored = torch.load(path, weights_only=True)
    loaded = load(path)
    weights = loaded.state_dict()
    assert [name for name, value in stored["state_dict"].items() if not torch.equal(weights[name], value)] == []
    assert loaded.facts == stored["video2audio"]["facts"]


@pytest.mark.parametrize("system", ["vqvae", "top", "bottom"])
def test_figures_are_those_that_version_0_1_computed(project: Path, system: str) -> None:
    """Within what another processor's rounding may change."""
    figures = run(project, "validate", system).trainer.callback_metrics
    expected = json.loads((STORED / "figures.json").read_text(encoding="utf-8"))[system]
    found = {name: float(figures[name]) for name in expected}
    assert found == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("system", SYSTEMS)
def test_predictions_are_written(project: Path, system: str) -> None:
    output_dir = project / "outputs" / system
    run(project, "predict", system)
    suffix = {"vqvae": "wav", "top": "csv", "bottom": "wav", "classifier": "csv"}[system]
    assert list(output_dir.glob(f"*.{suffix}"))


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_fit_resumes_from_the_stored_step(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], system: str
) -> None:
    """In a copy, as the checkpoints are overwritten."""
    shutil.copytree(project / "data", tmp_path / "data")
    for name in {"vqvae", system} if system != "classifier" else {system}:
        shutil.copytree(project / "checkpoints" / name, tmp_path / "checkpoints" / name)
    num_steps = NUM_STEPS[system]
    before = torch.load(tmp_path / "checkpoints" / system / "last.ckpt", weights_only=True)
    assert before["global_step"] == num_steps
    run(tmp_path, "fit", system, "--trainer.max_steps", str(num_steps + 1))
    assert f"step {num_steps}, epoch {before['epoch']}" in capsys.readouterr().out
    after = torch.load(tmp_path / "checkpoints" / system / "last.ckpt", weights_only=True)
    assert after["global_step"] == num_steps + 1
    steps = {int(state["step"]) for state in after["optimizer_states"][0]["state"].values()}
    assert steps == {num_steps + 1}
    assert after["state_dict"].keys() == before["state_dict"].keys()
