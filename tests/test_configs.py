"""Every shipped config is parsed, fitted, validated, tested and predicted with."""

import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image

import cli
from datamodules import PhotoDataModule
from networks import TransferClassifier
from runtime.systems import CONFIGS
from tests.conftest import SYSTEMS, TINY, run_cli, working_folder

SHIPPED = sorted(path.stem for path in CONFIGS.glob("*.yaml"))
OVERLAYS = ["compact", "demo"]
OF_ONE_SYSTEM = {"finetune": ("classifier", "compact")}  # and the overlay below it
COUNTS = {"vqvae": 573_857, "top": 5_334_656, "bottom": 5_453_696, "classifier": 23_512_130, "moments": 30_641}
LACKING = {("moments", "compact")}  # it is small


def test_there_is_a_config_for_each_system_and_the_composite() -> None:
    assert sorted([*SYSTEMS, "moments", "video2audio"]) == SHIPPED
    for overlay in OVERLAYS:
        expected = [system for system in SHIPPED if (system, overlay) not in LACKING]
        assert sorted(path.stem for path in (CONFIGS / overlay).glob("*.yaml")) == expected
    for overlay, (system, _) in OF_ONE_SYSTEM.items():
        assert [path.stem for path in (CONFIGS / overlay).glob("*.yaml")] == [system]
    assert sorted([*OVERLAYS, *OF_ONE_SYSTEM]) == sorted(path.name for path in CONFIGS.iterdir() if path.is_dir())


@pytest.mark.parametrize(
    ("system", "overlay"),
    [
        (system, ["--config", f"{name}.yaml"] if name else [])
        for system in SHIPPED
        for name in ["", *OVERLAYS]
        if (system, name) not in LACKING
    ],
    ids=str,
)
def test_a_config_gives_a_model_and_its_data_and_writes_nothing(
    system: str, overlay: list[str], tmp_path: Path
) -> None:
    with working_folder(tmp_path):
        result = cli.main(["--config", f"{system}.yaml", *overlay], run=False)
    assert result.datamodule is not None
    num_weights = sum(parameter.numel() for parameter in result.model.parameters() if parameter.requires_grad)
    if not overlay:
        assert num_weights == COUNTS.get(system, 0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("overlay", OF_ONE_SYSTEM)
def test_an_overlay_of_one_system_is_put_on_another_overlay(overlay: str, tmp_path: Path) -> None:
    system, below = OF_ONE_SYSTEM[overlay]
    names = [f"{name}.yaml" for name in (system, below, overlay)]
    with working_folder(tmp_path):
        result = cli.main([word for name in names for word in ("--config", name)], run=False)
    assert isinstance(result.model.network, TransferClassifier)
    assert type(result.datamodule) is PhotoDataModule
    assert all(parameter.requires_grad for parameter in result.model.network.trunk.parameters())


def test_the_classifier_of_compact_is_fitted_finetuned_and_used(chain: Path, tmp_path: Path) -> None:
    """On features and on pictures; with photos of something else, which are refused."""
    shutil.copytree(chain / "data/photos", tmp_path / "data/photos")
    (tmp_path / "data/photos/_other").mkdir()
    for number in range(6):
        Image.new("RGB", (40, 40), (40 * number, 0, 200)).save(tmp_path / f"data/photos/_other/{number}.png")
    sizes = [f"--{name}" for name in ("data.image_size=32", "data.num_workers=0", "trainer.logger=false")]
    steps = ["--trainer.max_steps=2", "--trainer.val_check_interval=1"]
    for overlays in (["compact"], ["compact", "finetune"]):
        configs = [word for name in ("classifier", *overlays) for word in ("--config", f"{name}.yaml")]
        with working_folder(tmp_path):
            fit = cli.main(["fit", *configs, *sizes, *steps])
            figures = cli.main(["validate", *configs, *sizes]).trainer.callback_metrics
            figures |= cli.main(["test", *configs, *sizes]).trainer.callback_metrics
            cli.main(["predict", *configs, *sizes, "--data.inputs", "data/photos/_other"])
        assert len(fit.model.network.familiarity.references) == 8
        assert {"val/kept", "val/refused", "test/accuracy", "test/kept", "test/refused"} <= figures.keys()
        table = (tmp_path / f"outputs/{overlays[-1]}/classifier/predictions.csv").read_text()
        assert table.startswith("photo,class,")
        assert "familiarity" in table
    assert len(list((tmp_path / "cache/features").iterdir())) == 4


@pytest.mark.parametrize("system", [*SYSTEMS, "moments"])
def test_a_header_says_what_it_is_and_which_command_runs_it(system: str) -> None:
    header = (CONFIGS / f"{system}.yaml").read_text().split("\nseed_everything")[0]
    assert f"# Command: python cli.py fit --config {system}.yaml" in header
    assert "# Source:" in header
    assert "# Needs:" in header


@pytest.mark.parametrize("system", SYSTEMS)
def test_validate_and_test_give_figures(chain: Path, system: str) -> None:
    for subcommand, prefix in (("validate", "val/"), ("test", "test/")):
        figures = run_cli(chain, subcommand, system).trainer.callback_metrics
        assert figures
        assert all(name.startswith(prefix) for name in figures)
        assert all(torch.isfinite(value) for value in figures.values())


@pytest.mark.parametrize(
    ("system", "suffixes"),
    [
        ("vqvae", {".wav", ".png", ".csv"}),
        ("top", {".png", ".csv"}),
        ("bottom", {".wav", ".png", ".csv"}),
        ("classifier", {".csv"}),
    ],
)
def test_predict_leaves_files_to_look_at(chain: Path, tmp_path: Path, system: str, suffixes: set[str]) -> None:
    run_cli(chain, "predict", system, "--predictions.output_dir", str(tmp_path))
    assert {path.suffix for path in tmp_path.iterdir()} == suffixes
    assert (tmp_path / "predictions.csv").exists()
    assert (tmp_path / "overview.png").exists() == (".png" in suffixes)


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_system_is_fitted_in_bf16(chain: Path, tmp_path: Path, system: str) -> None:
    shutil.copytree(chain / "data", tmp_path / "data")
    shutil.copytree(chain / "checkpoints" / "vqvae", tmp_path / "vqvae")
    options = ["--data.vqvae", str(tmp_path / "vqvae" / "best.ckpt")] if system in ("top", "bottom") else []
    result = run_cli(tmp_path, "fit", system, *options, "--trainer.precision", "bf16-mixed", "--trainer.max_steps", "2")
    assert result.trainer.precision == "bf16-mixed"
    assert torch.isfinite(result.trainer.callback_metrics["train/loss"])
    if system == "vqvae":
        quantizers = (result.model.network.quantize_top, result.model.network.quantize_bottom)
        assert {quantizer.codebook.dtype for quantizer in quantizers} == {torch.float32}
        assert all(quantizer.num_updates == 2 for quantizer in quantizers)


def test_activation_checkpointing_is_a_switch_of_the_priors(tmp_path: Path) -> None:
    with working_folder(tmp_path):
        for switch in ("true", "false"):
            args = ["--config", "top.yaml", "--model.network.activation_checkpointing", switch]
            result = cli.main(args, run=False)
            assert result.model.network.transformer.activation_checkpointing == (switch == "true")


def test_overlays_for_the_tests_are_as_many_as_the_configs() -> None:
    assert sorted(path.stem for path in TINY.glob("*.yaml")) == SHIPPED
