"""Keeps one W&B run for a training, however many sessions it takes, and checkpoints in it."""

import netrc
import os
import secrets
import tempfile
from pathlib import Path

import wandb
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities import rank_zero_only

from media.files import atomic_path
from runtime.private_api import set_run_id
from runtime.resuming import LAST, find_resume_point, start_again
from runtime.tell import tell

RUN_ID = "wandb_id.txt"
ARTIFACT_PREFIX = "wandb:"


def has_wandb_account() -> bool:
    """Returns whether W&B will find a key without asking for one."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    files = [os.environ.get("NETRC"), Path.home() / ".netrc", Path.home() / "_netrc"]
    try:
        return any(
            netrc.netrc(file).authenticators("api.wandb.ai") is not None
            for file in files
            if file is not None and Path(file).is_file()
        )
    except (OSError, netrc.NetrcParseError):
        return False


def set_wandb_defaults() -> None:
    """Lets W&B work offline without an account, and wait only briefly for a network; the user's variables win."""
    if not has_wandb_account():
        os.environ.setdefault("WANDB_MODE", "offline")
    os.environ.setdefault("WANDB_INIT_TIMEOUT", "30")  # seconds; the default is 90


@rank_zero_only
def keep_run_id(logger: WandbLogger, folder: Path) -> None:
    """Gives the logger the run's id from beside the checkpoints, or writes down a new one, before the run starts.

    Online the run is resumed by it; the pieces of an offline run carry it, so that `wandb sync` joins them.
    """
    path = folder / RUN_ID
    if logger.version is None:
        run_id = path.read_text(encoding="utf-8").strip() if path.exists() else secrets.token_hex(4)
        set_run_id(logger, run_id)
    if not path.exists():
        with atomic_path(path) as temporary:
            temporary.write_text(str(logger.version), encoding="utf-8")


def explain_wandb_error(error: wandb.errors.Error) -> str:
    """Puts an error of W&B, such as a missing network or a refused key, into one line that names the way out."""
    reason = str(error).partition("\n")[0].rstrip(".")
    return f"W&B: {reason}. Set WANDB_MODE=offline to keep the run on this machine; `wandb sync` uploads it later."


def store_artifact(logger: WandbLogger, folder: Path, step: int) -> None:
    """Stores a folder of checkpoints as a version of the artifact `<system>-<run's id>`.

    Online it returns when everything is uploaded.
    """
    artifact = wandb.Artifact(f"{folder.name}-{logger.version}", type="model", metadata={"step": step})
    for path in sorted(folder.iterdir()):
        if path.is_file() and not path.name.startswith("."):
            artifact.add_file(str(path), name=path.name)
    stored = logger.experiment.log_artifact(artifact)
    if not logger.experiment.offline:
        stored.wait()


def fetch_artifact(name: str, folder: Path) -> Path:
    """Downloads an artifact into an empty folder of this fit, and returns the checkpoint to resume from.

    If the folder holds a checkpoint already, the fit resumes from that one.

    Args:
        name: artifact as `wandb:<entity>/<project>/<artifact>:<version>`.
        folder: folder of the fit's checkpoints.

    Raises:
        ValueError: if there is no such artifact, or none that can be read.
    """
    point = find_resume_point(folder)
    if point is not None:
        tell(f"{folder} holds step {point.step} already, so {name} is not fetched.")
        return point.path
    try:
        artifact = wandb.Api().artifact(name.removeprefix(ARTIFACT_PREFIX), type="model")
        with tempfile.TemporaryDirectory() as download:
            artifact.download(root=download)
            start_again(folder)
            for path in sorted(Path(download).iterdir()):
                with atomic_path(folder / path.name) as temporary:
                    temporary.write_bytes(path.read_bytes())
    except (wandb.errors.Error, ValueError) as error:
        raise ValueError(
            f"The artifact {name} could not be fetched: {error}. Expected {ARTIFACT_PREFIX}entity/project/name:version."
        ) from error
    return folder / LAST
