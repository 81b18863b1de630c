"""New systems by new files only: a GAN with two optimisers, and a flow with captions and a frozen text encoder.

`docs/adding_a_system.md` tells how; their files are in `tests/helpers/new_system`.
"""

import re
import shutil
import signal
import sys
from pathlib import Path

import pytest
import torch
from lightning.pytorch.cli import LightningCLI

import cli
from lightning_modules import load
from tests.conftest import PROJECT, working_folder
from tests.helpers.killing import Kill, differences, finish, logged_figures, start

SOURCE = PROJECT / "tests" / "helpers" / "new_system"
TOYS = ("toy_gan", "toy_flow")
COMPARED = ("state_dict", "optimizer_states", "lr_schedulers", "global_step", "epoch", "video2audio")


def write_toys(folder: Path, data_root: Path) -> Path:
    """A folder with nothing but the files of the two systems and their data."""
    folder.mkdir()
    for path in SOURCE.glob("toy_*"):
        shutil.copy(path, folder)
    (folder / "data").symlink_to(data_root)
    generator = torch.Generator().manual_seed(0)
    torch.save(torch.randn(6, 8, generator=generator), folder / "words.pt")
    return folder


def fit_args(toy: str, *options: str) -> list[str]:
    csv_logger = ["--trainer.logger", "lightning.pytorch.loggers.CSVLogger", "--trainer.logger.save_dir", "csv"]
    return [
        *("fit", "--config", f"{toy}.yaml", *csv_logger, "--trainer.logger.name", toy),
        *("--trainer.logger.flush_logs_every_n_steps", "1", "--session.every_steps", "2", *options),
    ]


def checkpoint(folder: Path, toy: str, name: str = "last.ckpt") -> dict:
    content = torch.load(folder / "checkpoints" / toy / name, weights_only=True)
    return {key: content[key] for key in COMPARED}


@pytest.fixture(scope="module")
def project(data_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both systems, fitted without a break."""
    folder = write_toys(tmp_path_factory.mktemp("toys") / "unbroken", data_root)
    for toy in TOYS:
        assert finish(start(folder, fit_args(toy))) == 0, (folder / "printed.txt").read_text()
    return folder


@pytest.fixture
def run(project: Path, monkeypatch: pytest.MonkeyPatch):
    """`python cli.py` in a folder, and the modules of the toys forgotten afterwards."""

    def run_cli(*args: str, folder: Path = project) -> LightningCLI:
        monkeypatch.syspath_prepend(folder)
        with working_folder(folder):
            return cli.main(list(args))

    yield run_cli
    for toy in TOYS:
        sys.modules.pop(toy, None)


@pytest.mark.parametrize("toy", TOYS)
def test_a_killed_fit_ends_as_an_unbroken_one(project: Path, data_root: Path, tmp_path: Path, toy: str) -> None:
    broken = write_toys(tmp_path / "broken", data_root)
    for kill in (Kill("step", 6), Kill("rename", 1), None):
        code = finish(start(broken, fit_args(toy), kill))
        assert code in (0, -signal.SIGKILL), (broken / "printed.txt").read_text()
    assert "Resuming from" in (broken / "printed.txt").read_text()
    for name in ("last.ckpt", "best.ckpt"):
        assert differences(checkpoint(broken, toy, name), checkpoint(project, toy, name)) == []
    assert logged_figures(broken, toy) == logged_figures(project, toy)


@pytest.mark.parametrize("toy", TOYS)
def test_a_step_is_an_update_of_the_first_optimiser(project: Path, toy: str) -> None:
    """`max_steps: 8` makes eight of them, and says so."""
    content = torch.load(project / "checkpoints" / toy / "last.ckpt", weights_only=True)
    assert content["global_step"] == 8
    for optimizer in content["optimizer_states"]:
        assert {int(state["step"]) for state in optimizer["state"].values()} == {8}
    assert len(content["optimizer_states"]) == (2 if toy == "toy_gan" else 1)
    steps = [int(step) for name, step in logged_figures(project, toy) if name == "train/loss"]
    assert sorted(steps) == list(range(8))
    printed = (project / "printed.txt").read_text()
    assert re.findall(r"step (\d/8): val/loss", printed) == 2 * ["4/8", "8/8"]


def test_batches_without_a_step_of_the_generator_do_not_count(run, data_root: Path, tmp_path: Path) -> None:
    folder = write_toys(tmp_path / "critic", data_root)
    run(*fit_args("toy_gan", "--model.batches_a_step", "2", "--trainer.max_steps", "4"), folder=folder)
    content = torch.load(folder / "checkpoints" / "toy_gan" / "last.ckpt", weights_only=True)
    generator, discriminator = (next(iter(s["state"].values()))["step"] for s in content["optimizer_states"])
    assert (content["global_step"], int(generator), int(discriminator)) == (4, 4, 8)
    assert {int(step) for name, step in logged_figures(folder, "toy_gan") if name == "train/loss"} == {0, 1, 2, 3}


def test_the_average_of_the_generator_is_kept_and_used(project: Path) -> None:
    weights = checkpoint(project, "toy_gan")["state_dict"]
    average, now = (weights[f"{name}.layers.0.weight"] for name in ("averaged", "generator"))
    assert 0 < (average - now).abs().max() < 0.1


@pytest.mark.parametrize("toy", TOYS)
def test_the_other_commands_know_it(run, project: Path, tmp_path: Path, toy: str, capsys) -> None:
    config = ["--config", f"{toy}.yaml", "--trainer.logger", "false"]
    for subcommand, prefix in (("validate", "val/loss"), ("test", "test/loss")):
        figures = run(subcommand, *config).trainer.callback_metrics
        assert torch.isfinite(figures[prefix])
    run("predict", *config, "--predictions.output_dir", str(tmp_path))
    suffixes = {path.suffix for path in tmp_path.iterdir()}
    assert suffixes == ({".png", ".csv"} if toy == "toy_gan" else {".wav", ".csv"})
    with pytest.raises(SystemExit) as end:
        run("fit", *config, "--print_config")
    assert end.value.code in (0, None)
    assert f"class_path: {toy}." in capsys.readouterr().out


@pytest.mark.parametrize("toy", TOYS)
def test_the_doctor_measures_it(run, toy: str, capsys) -> None:
    with pytest.raises(SystemExit) as end:
        run("doctor", "--config", f"{toy}.yaml")
    assert end.value.code == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.split()[:1] == [toy])
    assert line.split()[1:4] == ["2", "×", "1"]
    assert "does not fit" not in line


@pytest.mark.parametrize("toy", TOYS)
def test_the_largest_batch_is_found_with_wandb_and_without(run, data_root: Path, tmp_path: Path, toy: str) -> None:
    folder = write_toys(tmp_path / "wandb", data_root)
    result = run("fit", "--config", f"{toy}.yaml", "--largest_batch", "--trainer.max_steps", "4", folder=folder)
    assert (result.datamodule.batch_size, result.trainer.accumulate_grad_batches) == (2, 1)
    assert result.trainer.global_step == 4
    media = {path.suffix for path in folder.glob("logs/wandb/offline-run-*/files/media/**/*") if path.is_file()}
    assert media == ({".png"} if toy == "toy_gan" else {".wav"})
    assert not (folder / "outputs" / "training").exists()
    run("fit", "--config", f"{toy}.yaml", "--fresh", "--trainer.logger", "false", folder=folder)
    shown = {path.suffix for path in (folder / "outputs" / "training" / toy).iterdir()}
    assert shown == media


def test_accumulation_is_not_forced_upon_a_system_that_optimises_by_hand(run, monkeypatch) -> None:
    monkeypatch.setattr("runtime.memory.MemoryNeed.largest_batch_size", lambda need, free_gib: 1)
    with pytest.raises(ValueError, match=r"1 samples fit, and ToyGAN optimises by hand.*batch_size 1"):
        run("fit", "--config", "toy_gan.yaml", "--largest_batch", "--fresh", "--trainer.logger", "false")


def test_frozen_weights_are_not_stored_but_compared(run, project: Path, data_root: Path, tmp_path: Path) -> None:
    weights = checkpoint(project, "toy_flow")["state_dict"]
    assert weights
    assert not any(name.startswith("text_encoder") for name in weights)
    run("validate", "--config", "toy_flow.yaml", "--trainer.logger", "false")
    with working_folder(project):
        assert load(project / "checkpoints" / "toy_flow" / "best.ckpt").text_encoder.vectors.shape == (6, 8)
    other = write_toys(tmp_path / "other", data_root)
    shutil.copytree(project / "checkpoints", other / "checkpoints")
    torch.save(torch.zeros(6, 8), other / "words.pt")
    with pytest.raises(
        ValueError, match=r"frozen weights of text_encoder are \w{16} in the checkpoint, and \w{16} here"
    ):
        run("validate", "--config", "toy_flow.yaml", "--trainer.logger", "false", folder=other)
    with working_folder(other), pytest.raises(ValueError, match="frozen weights of text_encoder"):
        load(other / "checkpoints" / "toy_flow" / "best.ckpt")


def test_an_argument_that_cannot_be_stored_is_reported_before_the_first_step(run, data_root, tmp_path) -> None:
    folder = write_toys(tmp_path / "plain", data_root)
    text = (folder / "toy_flow.py").read_text()
    (folder / "toy_flow.py").write_text(
        text.replace("class TextEncoder(Described, nn.Module)", "class TextEncoder(nn.Module)")
    )
    with pytest.raises(
        ValueError, match=r"could not be stored in a checkpoint: argument text_encoder of ToyFlow: found a TextEncoder"
    ):
        run("fit", "--config", "toy_flow.yaml", "--trainer.logger", "false", folder=folder)
    assert not list(folder.glob("checkpoints/**/*.ckpt"))


def test_another_argument_is_refused_and_a_changeable_one_is_not(run, project: Path) -> None:
    args = ["validate", "--config", "toy_flow.yaml", "--trainer.logger", "false"]
    run(*args, "--model.learning_rate", "0.5")
    with pytest.raises(ValueError, match=r"network\.width is 16 in it, and 32 here"):
        run(*args, "--model.network.width", "32")
    args = ["validate", "--config", "toy_gan.yaml", "--trainer.logger", "false"]
    with pytest.raises(ValueError, match=r"decay is 0\.9 in it, and 0\.5 here"):
        run(*args, "--model.decay", "0.5")
