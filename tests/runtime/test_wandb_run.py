import os
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import wandb
from lightning.pytorch.loggers import WandbLogger

import cli
from runtime.wandb_run import RUN_ID, fetch_artifact, has_wandb_account, keep_run_id
from tests.conftest import TINY, working_folder


def logger(folder: Path, **options) -> WandbLogger:
    return WandbLogger(project="video2audio", save_dir=folder / "logs", **options)


def test_a_training_keeps_its_run(tmp_path: Path) -> None:
    first, second, other = logger(tmp_path), logger(tmp_path), logger(tmp_path)
    keep_run_id(first, tmp_path / "vqvae")
    keep_run_id(second, tmp_path / "vqvae")
    keep_run_id(other, tmp_path / "top")
    assert first.version == second.version != other.version
    assert (tmp_path / "vqvae" / RUN_ID).read_text() == first.version
    assert second._wandb_init["resume"] == "allow"


def test_an_id_that_was_asked_for_is_kept(tmp_path: Path) -> None:
    asked = logger(tmp_path, id="mine")
    keep_run_id(asked, tmp_path)
    assert asked.version == (tmp_path / RUN_ID).read_text() == "mine"


def records_of(run: Path) -> bytes:
    (records,) = run.glob("*.wandb")
    return records.read_bytes()


def test_the_offline_pieces_of_a_training_carry_one_id_and_the_step_as_their_axis(data_root: Path, tmp_path) -> None:
    args = ["fit", "--config", "vqvae.yaml", "--config", str(TINY / "vqvae.yaml"), "--data.root", str(data_root)]
    with working_folder(tmp_path):
        for max_steps in ("2", "4"):
            cli.main([*args, "--trainer.max_steps", max_steps, "--session.artifacts", "true"])
            assert wandb.run is None, "the next fit of this process has a run of its own"
        wandb.teardown()  # only the end of its service, as at the end of a process, leaves whole files
        run_id = (tmp_path / "checkpoints" / "vqvae" / RUN_ID).read_text()
    runs = sorted((tmp_path / "logs" / "wandb").glob("offline-run-*"))
    assert len(runs) == 2
    for run in runs:
        assert run.name.endswith(run_id)
        assert b"trainer/global_step" in records_of(run)
        assert f"vqvae-{run_id}".encode() in records_of(run), "the checkpoints are an artifact of the run"


class Artifact:
    def __init__(self, source: Path) -> None:
        self.source = source

    def download(self, root: str) -> None:
        for path in self.source.iterdir():
            (Path(root) / path.name).write_bytes(path.read_bytes())


def test_a_fit_starts_from_an_artifact_once(chain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = chain / "checkpoints" / "top"
    asked = []
    api = SimpleNamespace(artifact=lambda name, type: asked.append(name) or Artifact(source))
    monkeypatch.setattr(wandb, "Api", lambda: api)
    for _ in range(2):
        path = fetch_artifact("wandb:me/video2audio/top-abc:latest", tmp_path / "top")
        assert torch.load(path, weights_only=True)["global_step"] == 4
    assert asked == ["me/video2audio/top-abc:latest"]


def test_an_artifact_that_cannot_be_had_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str, type: str) -> None:
        raise wandb.errors.CommError("not found")

    monkeypatch.setattr(wandb, "Api", lambda: SimpleNamespace(artifact=refuse))
    with pytest.raises(ValueError, match=r"wandb:me/it could not be fetched: not found.*entity/project/name:version"):
        fetch_artifact("wandb:me/it", tmp_path)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (wandb.errors.AuthenticationError("API key must have 40+ characters."), "API key must have 40+ characters"),
        (wandb.errors.CommError("no such host\nConsider waiting longer"), "no such host"),
    ],
)
def test_a_refused_key_and_a_missing_network_are_reported_in_one_line(
    data_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, reason: str
) -> None:
    def refuse(**options: object) -> None:
        raise error

    monkeypatch.setattr(wandb, "init", refuse)
    args = ["fit", "--config", "vqvae.yaml", "--config", str(TINY / "vqvae.yaml"), "--data.root", str(data_root)]
    with (
        working_folder(tmp_path),
        pytest.raises(ValueError, match=rf"^W&B: {re.escape(reason)}. Set WANDB_MODE=offline [^\n]*$"),
    ):
        cli.main(args)


@pytest.fixture
def no_account(monkeypatch, tmp_path) -> Path:
    """No key anywhere; gives the path of the netrc file."""
    for name in ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE", "NETRC", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    return tmp_path / ".netrc"


def write_netrc(path: Path, content: str) -> None:
    path.write_text(content)
    os.chmod(path, 0o600)


def test_a_new_machine_has_no_account(no_account):
    assert not has_wandb_account()


@pytest.mark.parametrize("name", ["WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE"])
def test_a_key_in_the_environment_is_an_account(no_account, monkeypatch, name):
    monkeypatch.setenv(name, "")
    assert not has_wandb_account()
    monkeypatch.setenv(name, "x")
    assert has_wandb_account()


def test_a_login_is_an_account(no_account):
    write_netrc(no_account, "machine github.com login a password b\n")
    assert not has_wandb_account()
    write_netrc(no_account, "machine api.wandb.ai login user password key\n")
    assert has_wandb_account()


def test_a_login_in_a_file_of_another_name_is_an_account(no_account, tmp_path, monkeypatch):
    write_netrc(tmp_path / "mine", "machine api.wandb.ai login user password key\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "mine"))
    assert has_wandb_account()


def test_a_file_that_cannot_be_understood_is_no_account(no_account):
    write_netrc(no_account, "what is this\n")
    assert not has_wandb_account()
