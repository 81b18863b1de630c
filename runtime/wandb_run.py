"""One W&B run for all sessions of a fit, and checkpoints as its artifacts."""

import os
import secrets
import tempfile
from pathlib import Path

import wandb
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities import rank_zero_only
from requests.utils import get_netrc_auth

from media.files import atomic_path
from runtime.private_api import set_run_id
from runtime.resuming import LAST, copy_file, find_resume_point, start_again
from runtime.tell import tell

RUN_ID = "wandb_id.txt"
ARTIFACT_PREFIX = "wandb:"


def has_wandb_account() -> bool:
    """Whether W&B will find a key without asking for one."""
    keys = [os.environ.get(name) for name in ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE")]
    hosts = ["https://api.wandb.ai", wandb.Settings().base_url]
    return any(keys) or any(get_netrc_auth(host) for host in hosts)


def set_wandb_defaults() -> None:
    """Switches W&B offline without an account, and shortens its wait for a network; the user's variables win."""
    if not has_wandb_account():
        os.environ.setdefault("WANDB_MODE", "offline")
    os.environ.setdefault("WANDB_INIT_TIMEOUT", "30")  # seconds; the default is 90


def wandb_loggers(trainer: Trainer) -> list[WandbLogger]:
    """The loggers of a trainer that log to W&B."""
    return [logger for logger in trainer.loggers if isinstance(logger, WandbLogger)]


@rank_zero_only
def keep_run_id(logger: WandbLogger, folder: Path) -> None:
    """Reads the run's id from the folder of the checkpoints, or stores a new one there, before the run starts.

    The id resumes an online run. It also joins the pieces of an offline one when `wandb sync` uploads them.
    """
    path = folder / RUN_ID
    if logger.version is None:
        set_run_id(logger, path.read_text(encoding="utf-8").strip() if path.exists() else secrets.token_hex(4))
    if not path.exists():
        with atomic_path(path) as temporary:
            temporary.write_text(str(logger.version), encoding="utf-8")


def explain_wandb_error(error: wandb.errors.Error) -> str:
    """Condenses an error of W&B, such as a missing network or a refused key, into one line with the remedy."""
    reason = str(error).partition("\n")[0].rstrip(".")
    return f"W&B: {reason}. Set WANDB_MODE=offline to keep the run on this machine; `wandb sync` uploads it later."


def store_artifact(logger: WandbLogger, folder: Path, step: int) -> None:
    """Stores a folder of checkpoints as a version of the artifact `<system>-<run's id>`; waits for the upload."""
    artifact = wandb.Artifact(f"{folder.name}-{logger.version}", type="model", metadata={"step": step})
    for path in sorted(folder.iterdir()):
        if path.is_file() and not path.name.startswith("."):
            artifact.add_file(str(path), name=path.name)
    stored = logger.experiment.log_artifact(artifact)
    if not logger.experiment.offline:
        stored.wait()


def fetch_artifact(name: str, folder: Path) -> Path:
    """Finds the checkpoint to resume from in a fit's folder, or downloads `wandb:entity/project/name:version` into it.

    Raises:
        ValueError: if there is no such artifact, or it cannot be read.
    """
    if point := find_resume_point(folder):
        tell(f"{folder} holds step {point.step} already, so {name} is not fetched.")
        return point.path
    try:
        artifact = wandb.Api().artifact(name.removeprefix(ARTIFACT_PREFIX), type="model")
        with tempfile.TemporaryDirectory() as download:
            artifact.download(root=download)
            start_again(folder)
            for path in sorted(Path(download).iterdir()):
                copy_file(path, folder / path.name)
    except (wandb.errors.Error, ValueError) as error:
        raise ValueError(
            f"The artifact {name} could not be fetched: {error}. Expected {ARTIFACT_PREFIX}entity/project/name:version."
        ) from error
    return folder / LAST
