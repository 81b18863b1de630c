"""The one way in: `python cli.py fit --config vqvae.yaml`, and the same with validate, test and predict."""

import netrc
import os
import sys
import warnings
from pathlib import Path
from typing import Any

from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from callbacks import ConfigSaver, LastCheckpoint, MediaLogger, PredictionWriter
from lightning_modules import System
from lightning_modules.precision import choose_precision, find_device

CONFIGS = Path(__file__).parent / "configs"


class Video2AudioCLI(LightningCLI):
    """LightningCLI with the project's defaults: precision by device, resuming, W&B offline without an account."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Callbacks that every config sets by name, so that an overlay can change one value of them."""
        parser.add_lightning_class_args(ModelCheckpoint, "checkpoint")
        parser.add_lightning_class_args(LastCheckpoint, "last_checkpoint")
        parser.link_arguments("checkpoint.dirpath", "last_checkpoint.dirpath")
        parser.add_lightning_class_args(MediaLogger, "media")
        parser.add_lightning_class_args(PredictionWriter, "predictions")
        parser.link_arguments("model.init_args.geometry", "data.init_args.geometry")

    def before_instantiate_classes(self) -> None:
        """Chooses the precision, and W&B's mode."""
        trainer = self._get(self.config, "trainer")
        precision, reason = choose_precision(trainer.precision, find_device(trainer.accelerator))
        trainer.precision = precision
        if trainer.enable_progress_bar is False:
            trainer.callbacks = [c for c in trainer.callbacks or [] if not c.class_path.endswith("ProgressBar")]
        if self.subcommand:
            print(reason)
        if not has_wandb_account():
            os.environ.setdefault("WANDB_MODE", "offline")

    def _prepare_subcommand_kwargs(self, subcommand: str) -> dict[str, Any]:
        """Resumes a fit from the newest checkpoint, and evaluates with the best one, unless another is asked for."""
        kwargs = super()._prepare_subcommand_kwargs(subcommand)
        if subcommand == "predict":
            kwargs["return_predictions"] = False  # they are stored one by one; an hour of video fits no memory
        if not isinstance(self.model, System):
            return kwargs
        kwargs["weights_only"] = True
        if kwargs.get("ckpt_path") is None:
            folder = Path(self._get(self.config, "checkpoint").dirpath)
            path = folder / ("last.ckpt" if subcommand == "fit" else "best.ckpt")
            if path.is_file():
                print(f"Going on from {path}." if subcommand == "fit" else f"Using {path}.")
                kwargs["ckpt_path"] = str(path)
            elif subcommand != "fit":
                config = f"{folder.name}.yaml"
                raise FileNotFoundError(
                    f"There is no checkpoint {path}. Make it with: python cli.py fit --config {config}"
                )
            else:
                print(f"Starting from scratch: there is no {path}.")
        return kwargs


def has_wandb_account() -> bool:
    """Whether W&B will find a key without asking for one."""
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


def find_configs(args: list[str], folder: Path = CONFIGS) -> list[str]:
    """Arguments in which bare config names have become paths.

    A name that is no file here is looked for in `folder`. An overlay that differs from system to system is a folder
    there: `--config vqvae.yaml --config demo.yaml` finds `configs/demo/vqvae.yaml`, named after the first config.

    Raises:
        FileNotFoundError: where a config is found nowhere; the message lists those that exist.
    """
    found, system, is_value = [], None, False
    for arg in args:
        prefix, name = ("--config=", arg[9:]) if arg.startswith("--config=") else ("", arg)
        if prefix or is_value:
            path = _find_config(name, system, folder)
            system = system or path.name
            found.append(f"{prefix}{path}")
        else:
            found.append(arg)
        is_value = arg in ("--config", "-c")
    return found


def _find_config(name: str, system: str | None, folder: Path) -> Path:
    candidates = [Path(name), folder / name]
    if system:
        candidates.append(folder / Path(name).stem / system)
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    known = sorted(
        {path.name for path in folder.glob("*.yaml")}
        | {f"{path.name}.yaml" for path in folder.iterdir() if path.is_dir()}
    )
    raise FileNotFoundError(
        f"There is no config {name}: looked for {' and '.join(map(str, candidates))}. "
        f"Shipped configs: {', '.join(known)} (those of folders come after a system's own)."
    )


def main(args: list[str] | None = None, run: bool = True) -> LightningCLI:
    """Parse and run.

    Args:
        args: the arguments after `python cli.py`; None takes the command line's.
        run: without it `args` holds no subcommand, nothing runs and nothing is written: the result has `.model` with
            random weights, `.datamodule` and `.trainer`.

    Returns:
        The CLI object, after the subcommand has ended.
    """
    if args is None:
        sys.argv[1:] = find_configs(sys.argv[1:])
    else:
        args = find_configs(args)
        warnings.filterwarnings("ignore", "LightningCLI's args parameter")  # main(args) is meant to be called
    warnings.filterwarnings("ignore", "Checkpoint directory .* exists and is not empty")  # resuming is intended
    return Video2AudioCLI(
        args=args,
        run=run,
        seed_everything_default=1,
        save_config_callback=ConfigSaver,
        save_config_kwargs={"overwrite": True, "save_to_log_dir": False},
    )


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError) as error:
        if os.environ.get("V2A_TRACEBACK"):
            raise
        sys.exit(f"Error: {error}\n(V2A_TRACEBACK=1 shows where it comes from.)")
