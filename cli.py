"""The entry point: `python cli.py fit --config vqvae.yaml`, and the same with validate, test and predict."""

import signal

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # during the imports Ctrl-C prints no traceback

import os
import shlex
import sys
import warnings
from pathlib import Path
from typing import Any

import wandb
import yaml
from jsonargparse import ArgumentError
from lightning.pytorch import Trainer
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from callbacks import BestCheckpoint, ConfigSaver, EvaluationWriter, MediaLogger, PredictionWriter, Session, SessionEnd
from callbacks.session import announce_resuming
from cli_arguments import find_configs, fit_command, quote_names, short_error, with_overlays
from lightning_modules import System
from runtime import doctor, wandb_run
from runtime.checkpoint_io import DurableCheckpointIO
from runtime.device_check import check_card
from runtime.exit_codes import end_in_words
from runtime.memory import check_memory, use_largest_batch
from runtime.precision import choose_precision, find_device
from runtime.program import PROGRAM, VERSION
from runtime.resuming import LAST, find_checkpoint, newest_resume_point, read_resume_point, start_again
from runtime.systems import list_systems
from runtime.tell import is_first_process, quieten_lightning, tell

DESCRIPTION = f"""Fits models for sight and sound, evaluates them and predicts with them; README.md has the commands.
`{PROGRAM} doctor` describes this machine, and measures how long each fit takes on it.
Systems (`--config NAME.yaml`): """
DEFAULTS = {
    "checkpoint.filename": "best",
    "checkpoint.mode": "min",
    "checkpoint.enable_version_counter": False,
    "trainer.check_val_every_n_epoch": None,  # validations are counted in batches
    "trainer.num_sanity_val_steps": 0,
    "trainer.use_distributed_sampler": False,  # the project's sampler distributes
}


class Video2AudioCLI(LightningCLI):
    """LightningCLI with the project's defaults: precision by device, resuming, W&B offline without an account.

    Args:
        typed: arguments as the user typed them, for the command that resumes.
    """

    def __init__(self, *args: Any, typed: list[str], **kwargs: Any) -> None:
        self.typed = typed
        super().__init__(*args, **kwargs)

    def init_parser(self, **kwargs: Any) -> LightningArgumentParser:
        """Makes a parser that raises, so that `main` can explain an error in one line."""
        names = ", ".join(path.stem for path in list_systems())
        parser = super().init_parser(**{"description": DESCRIPTION + names} | kwargs, exit_on_error=False)
        parser.add_argument("--version", action="version", version=f"video2audio {VERSION}", help="Print the version.")
        return parser

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Adds the callbacks under a name each, so that an overlay can change one value of them."""
        parser.add_lightning_class_args(BestCheckpoint, "checkpoint")
        parser.add_lightning_class_args(Session, "session")
        parser.add_lightning_class_args(MediaLogger, "media")
        parser.add_lightning_class_args(PredictionWriter, "predictions")
        parser.add_lightning_class_args(EvaluationWriter, "evaluation")
        parser.set_defaults(DEFAULTS)
        parser.link_arguments("checkpoint.dirpath", "session.dirpath")
        parser.link_arguments("model.init_args.geometry", "data.init_args.geometry")
        parser.link_arguments("data.init_args.vqvae", "model.init_args.codec")
        parser.link_arguments("model.init_args.network", "data.init_args.network")
        parser.link_arguments("model.init_args.weights", "data.init_args.weights")
        switch = {"type": bool, "nargs": "?", "const": True, "default": False}
        parser.add_argument("--fresh", **switch, help="Start a fit from scratch and move its earlier files aside.")
        parser.add_argument(
            "--largest_batch",
            **switch,
            help="Use the largest batch that fits into the memory. The number of samples in a step stays the same.",
        )
        parser.add_argument(
            "--earlier_outputs",
            type=str | list[str],
            default=["/kaggle/input"],
            help="Folders that are searched, at any depth, for checkpoints that are missing here.",
        )

    def before_instantiate_classes(self) -> None:
        """Chooses the precision and W&B's mode, and finds the checkpoints that a system needs in earlier outputs."""
        trainer = self._get(self.config, "trainer")
        trainer.precision, reason = choose_precision(trainer.precision, find_device(trainer.accelerator))
        if trainer.enable_progress_bar is False:
            trainer.callbacks = [c for c in trainer.callbacks or [] if not c.class_path.endswith("ProgressBar")]
        wandb_run.set_wandb_defaults()
        if self.subcommand:
            check_card(trainer.accelerator)
            tell(reason)
            for part in ("model", "data"):
                values = self._get(self.config, part).init_args
                for name, value in vars(values).items():
                    if isinstance(value, str) and value.endswith(".ckpt"):
                        values[name] = find_checkpoint(value, self._earlier_outputs)

    def instantiate_classes(self) -> None:
        """Passes the facts that the data module knows before it reads a file on to the system."""
        super().instantiate_classes()
        if isinstance(self.model, System) and hasattr(self.datamodule, "known_facts"):
            self.model.facts |= self.datamodule.known_facts()

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Writes checkpoints so that a crash meanwhile leaves the earlier ones."""
        plugins = self._get(self.config_init, "trainer").plugins or []
        plugins = plugins if isinstance(plugins, list) else [plugins]
        return super().instantiate_trainer(**kwargs, plugins=[*plugins, DurableCheckpointIO()])

    def before_fit(self) -> None:
        """Chooses the largest batch if asked to; otherwise refuses a fit that exceeds the card's memory."""
        if self._get(self.config, "largest_batch"):
            tell(use_largest_batch(self.model, self.datamodule, self.trainer))
        else:
            check_memory(self.model, self.datamodule, self.trainer)

    def _run_subcommand(self, subcommand: str) -> None:
        """Runs the subcommand; a stopped fit ends with the command that resumes it."""
        if subcommand != "fit":
            self._get(self.config_init, "evaluation").command = f"{PROGRAM} {shlex.join(self.typed)}"
            super()._run_subcommand(subcommand)
            return
        session = self._get(self.config_init, "session")
        end = None
        session.listen()
        try:
            super()._run_subcommand(subcommand)
        except SessionEnd as stop:
            end = stop
        finally:
            if wandb_run.wandb_loggers(self.trainer):
                wandb.finish()  # the next fit of this process has a run of its own
            session.stop_listening()
        if end is not None:
            tell(f"{end}\n  {fit_command(self.typed, end.options)}")
            if end.exit_code and is_first_process():  # Lightning kills the first if another process fails
                raise SystemExit(end.exit_code)

    def _prepare_subcommand_kwargs(self, subcommand: str) -> dict[str, Any]:
        """Resumes a fit from the newest checkpoint and evaluates the best one, unless the user names another."""
        kwargs = super()._prepare_subcommand_kwargs(subcommand)
        if subcommand == "predict":
            kwargs["return_predictions"] = False  # they are stored one by one
        if not isinstance(self.model, System):
            return kwargs
        kwargs["weights_only"] = True
        folder = Path(self._get(self.config, "checkpoint").dirpath)
        asked = kwargs.get("ckpt_path")
        if subcommand == "fit" and self.trainer.fast_dev_run:
            kwargs["ckpt_path"] = None  # a trial run
        elif subcommand == "fit":
            kwargs["ckpt_path"] = self._find_resumed(folder, asked)
        elif asked is None:
            path = find_checkpoint(str(folder / "best.ckpt"), self._earlier_outputs)
            if not Path(path).is_file():
                raise FileNotFoundError(f"There is no checkpoint {path}. Make it with: {fit_command(self.typed)}")
            tell(f"Using {path}.")
            kwargs["ckpt_path"] = path
        return kwargs

    @property
    def _earlier_outputs(self) -> list[str]:
        roots = self._get(self.config, "earlier_outputs")
        return [roots] if isinstance(roots, str) else roots

    def _find_resumed(self, folder: Path, asked: str | None) -> str | None:
        """Finds the checkpoint that this fit resumes from, announces it, and keeps the id of the W&B run beside it."""
        point = None
        if self._get(self.config, "fresh"):
            start_again(folder)
        elif asked is not None:
            is_artifact = asked.startswith(wandb_run.ARTIFACT_PREFIX)
            point = read_resume_point(wandb_run.fetch_artifact(asked, folder) if is_artifact else Path(asked))
        else:
            data = self._get(self.config, "data").init_args
            point = newest_resume_point(folder, self._earlier_outputs, self.model, data.get("cache_dir"))
        for logger in wandb_run.wandb_loggers(self.trainer):
            wandb_run.keep_run_id(logger, folder)
        if point is None:
            roots = [root for root in self._earlier_outputs if Path(root).is_dir()]
            tell(f"Starting from scratch: there is no {folder / LAST}{', nor one under '.join(['', *roots])}.")
            return None
        now = yaml.safe_load(self._parser("fit").dump(self.config["fit"], skip_none=False))
        announce_resuming(point, now, self.trainer.max_steps)
        return str(point.path)


def main(args: list[str] | None = None, run: bool = True) -> LightningCLI:
    """Parses the arguments and runs the subcommand.

    Args:
        args: arguments after `python cli.py`; None means the command line.
        run: if False, `args` has no subcommand, and nothing runs or is written.

    Returns:
        The CLI object, with `.model`, `.datamodule` and `.trainer`. Without a run the model has random weights.
    """
    typed = sys.argv[1:] if args is None else args
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # a config may name classes of the working folder
    if typed[:1] == ["doctor"]:
        sys.exit(doctor.main(typed[1:], build=lambda args: main(args, run=False)))
    args = quote_names(find_configs(typed))
    warnings.filterwarnings("ignore", "LightningCLI's args parameter")  # names of configs are replaced in it
    quieten_lightning()
    try:
        return Video2AudioCLI(
            args=args,
            typed=typed,
            run=run,
            seed_everything_default=1,
            save_config_callback=ConfigSaver,
            save_config_kwargs={"overwrite": True, "save_to_log_dir": False},
        )
    except wandb.errors.Error as error:
        raise ValueError(wandb_run.explain_wandb_error(error)) from error
    except (ArgumentError, FileNotFoundError, ValueError) as error:
        is_of_the_parser = isinstance(error, ArgumentError) or "Does not validate" in str(error)
        words = with_overlays(short_error(str(error)) if is_of_the_parser else str(error), typed)
        if words == str(error) and not is_of_the_parser:
            raise
        raise (FileNotFoundError if isinstance(error, FileNotFoundError) else ValueError)(words) from error


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # otherwise Lightning lets test and predict run on
    end_in_words(main)
