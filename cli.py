"""The one way in: `python cli.py fit --config vqvae.yaml`, and the same with validate, test and predict."""

import signal

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until all is imported, Ctrl-C ends it without a word

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
from lightning.pytorch.loggers import WandbLogger

from callbacks import BestCheckpoint, ConfigSaver, EvaluationWriter, MediaLogger, PredictionWriter, Session, SessionEnd
from callbacks.session import announce_resuming
from cli_arguments import find_configs, fit_command, quote_names, short_error, with_overlays
from lightning_modules import System
from runtime import doctor
from runtime.checkpoint_io import DurableCheckpointIO
from runtime.device_check import check_card
from runtime.exit_codes import end_in_words
from runtime.memory import check_memory, use_largest_batch
from runtime.precision import choose_precision, find_device
from runtime.program import PROGRAM, VERSION
from runtime.resuming import (
    LAST,
    ResumePoint,
    find_checkpoint,
    newest_resume_point,
    read_resume_point,
    start_again,
)
from runtime.systems import list_systems
from runtime.tell import is_first_process, quieten_lightning, tell
from runtime.wandb_run import ARTIFACT_PREFIX, explain_wandb_error, fetch_artifact, keep_run_id, set_wandb_defaults

DESCRIPTION = f"""Fits models for sight and sound, and lets them do their work; README.md has the commands.
Besides those below there is `{PROGRAM} doctor`: what this machine is, and how long each fit takes on it.
Systems (`--config NAME.yaml`): """
DEFAULTS = {
    "checkpoint.filename": "best",
    "checkpoint.mode": "min",
    "checkpoint.enable_version_counter": False,
    "trainer.check_val_every_n_epoch": None,  # validate by batches, whatever an epoch is
    "trainer.num_sanity_val_steps": 0,
    "trainer.use_distributed_sampler": False,  # the project's own sampler knows about processes
}


class Video2AudioCLI(LightningCLI):
    """LightningCLI with the project's defaults: precision by device, resuming, W&B offline without an account.

    Args:
        typed: the arguments as the user typed them, for the command that resumes.
    """

    def __init__(self, *args: Any, typed: list[str], **kwargs: Any) -> None:
        self.typed = typed
        super().__init__(*args, **kwargs)

    def init_parser(self, **kwargs: Any) -> LightningArgumentParser:
        """A parser that raises, so that `main` can explain an error in one line."""
        names = ", ".join(system.name for system in list_systems())
        parser = super().init_parser(**{"description": DESCRIPTION + names} | kwargs, exit_on_error=False)
        parser.add_argument("--version", action="version", version=f"video2audio {VERSION}", help="Print the version.")
        return parser

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Adds the callbacks that every config sets by name, so that an overlay can change one value of them."""
        parser.add_lightning_class_args(BestCheckpoint, "checkpoint")
        parser.add_lightning_class_args(Session, "session")
        parser.link_arguments("checkpoint.dirpath", "session.dirpath")
        parser.add_lightning_class_args(MediaLogger, "media")
        parser.add_lightning_class_args(PredictionWriter, "predictions")
        parser.add_lightning_class_args(EvaluationWriter, "evaluation")
        parser.link_arguments("model.init_args.geometry", "data.init_args.geometry")
        parser.set_defaults(DEFAULTS)
        parser.link_arguments("data.init_args.vqvae", "model.init_args.codec")
        switch = {"type": bool, "nargs": "?", "const": True, "default": False}
        parser.add_argument("--fresh", **switch, help="Start a fit from scratch; its earlier files are moved aside.")
        parser.add_argument(
            "--largest_batch",
            **switch,
            help="Use the largest batch that the memory has room for; a step learns from as many samples as before.",
        )
        parser.add_argument(
            "--earlier_outputs",
            type=str | list[str],
            default=["/kaggle/input"],
            help="Folders that are searched, at any depth, for checkpoints that are not here.",
        )

    def before_instantiate_classes(self) -> None:
        """Chooses the precision and W&B's mode, and finds checkpoints to build on in earlier outputs."""
        trainer = self._get(self.config, "trainer")
        precision, reason = choose_precision(trainer.precision, find_device(trainer.accelerator))
        trainer.precision = precision
        if trainer.enable_progress_bar is False:
            trainer.callbacks = [c for c in trainer.callbacks or [] if not c.class_path.endswith("ProgressBar")]
        set_wandb_defaults()
        if self.subcommand:
            check_card(trainer.accelerator)
            tell(reason)
            for part in ("model", "data"):
                values = self._get(self.config, part).init_args
                for name, value in vars(values).items():
                    if isinstance(value, str) and value.endswith(".ckpt"):
                        values[name] = find_checkpoint(value, self._earlier_outputs)

    def instantiate_classes(self) -> None:
        """Gives a system the facts about its data that are known before a file is read."""
        super().instantiate_classes()
        if isinstance(self.model, System) and hasattr(self.datamodule, "known_facts"):
            self.model.facts |= self.datamodule.known_facts()

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Adds checkpoints that survive a crash while they are written."""
        asked = self._get(self.config_init, "trainer").plugins or []
        plugins = asked if isinstance(asked, list) else [asked]
        return super().instantiate_trainer(**kwargs, plugins=[*plugins, DurableCheckpointIO()])

    def before_fit(self) -> None:
        """Fits the batch to the memory if asked to, else refuses a fit that the card has no memory for."""
        if self._get(self.config, "largest_batch"):
            tell(use_largest_batch(self.model, self.datamodule, self.trainer))
        else:
            check_memory(self.model, self.datamodule, self.trainer)

    def _run_subcommand(self, subcommand: str) -> None:
        """Lets a fit that is stopped end in good order, with the command that resumes it."""
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
            if any(isinstance(logger, WandbLogger) for logger in self.trainer.loggers):
                wandb.finish()  # the next fit of this process has a run of its own
            session.stop_listening()
        if end is not None:
            what = "To train longer" if end.is_finished else "Go on with"
            tell(f"{end}. {what}:\n  {fit_command(self.typed, end.options)}")
            if end.exit_code and is_first_process():  # another's code would have Lightning kill the first process
                raise SystemExit(end.exit_code)

    def _prepare_subcommand_kwargs(self, subcommand: str) -> dict[str, Any]:
        """Resumes a fit from the newest checkpoint, and evaluates with the best one, unless another is asked for."""
        kwargs = super()._prepare_subcommand_kwargs(subcommand)
        if subcommand == "predict":
            kwargs["return_predictions"] = False  # they are stored one by one; an hour of video fits no memory
        if not isinstance(self.model, System):
            return kwargs
        kwargs["weights_only"] = True
        folder = Path(self._get(self.config, "checkpoint").dirpath)
        asked = kwargs.get("ckpt_path")
        if subcommand == "fit" and self.trainer.fast_dev_run:
            kwargs["ckpt_path"] = None  # it tries the code out, and leaves the fit as it is
        elif subcommand == "fit":
            point = self._resume_point(folder, asked)
            kwargs["ckpt_path"] = str(point.path) if point else None
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

    def _resume_point(self, folder: Path, asked: str | None) -> ResumePoint | None:
        """The checkpoint that this fit resumes from, and a message about it; keeps the id of the W&B run beside it."""
        point = None
        if self._get(self.config, "fresh"):
            start_again(folder)
        elif asked is not None:
            is_artifact = asked.startswith(ARTIFACT_PREFIX)
            point = read_resume_point(fetch_artifact(asked, folder) if is_artifact else Path(asked))
        else:
            data = self._get(self.config, "data").init_args
            point = newest_resume_point(folder, self._earlier_outputs, self.model, data.get("cache_dir"))
        for logger in self.trainer.loggers:
            if isinstance(logger, WandbLogger):
                keep_run_id(logger, folder)
        if point is None:
            roots = [root for root in self._earlier_outputs if Path(root).is_dir()]
            tell(f"Starting from scratch: there is no {folder / LAST}{', nor one under '.join(['', *roots])}.")
            return None
        now = yaml.safe_load(self._parser("fit").dump(self.config["fit"], skip_none=False))
        announce_resuming(point, now, self.trainer.max_steps)
        return point


def main(args: list[str] | None = None, run: bool = True) -> LightningCLI:
    """Parses the arguments and runs the subcommand.

    Args:
        args: arguments after `python cli.py`; None takes those of the command line.
        run: if False, `args` has no subcommand, and nothing runs or is written. The result has `.model` with random
            weights, `.datamodule` and `.trainer`.

    Returns:
        The CLI object, after the subcommand has ended.
    """
    typed = sys.argv[1:] if args is None else args
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # classes that a config names may be in the folder of work
    if typed[:1] == ["doctor"]:
        sys.exit(doctor.main(typed[1:], build=lambda args: main(args, run=False)))
    if args is None:
        sys.argv[1:] = quote_names(find_configs(sys.argv[1:]))
    else:
        args = quote_names(find_configs(args))
        warnings.filterwarnings("ignore", "LightningCLI's args parameter")  # main(args) is meant to be called
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
    except FileNotFoundError as error:
        raise FileNotFoundError(with_overlays(str(error), typed)) from error
    except wandb.errors.Error as error:
        raise ValueError(explain_wandb_error(error)) from error
    except (ArgumentError, ValueError) as error:
        is_of_the_parser = isinstance(error, ArgumentError) or "Does not validate" in str(error)
        words = with_overlays(short_error(str(error)) if is_of_the_parser else str(error), typed)
        if words == str(error) and not is_of_the_parser:
            raise
        raise ValueError(words) from error


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # else Lightning lets test and predict run on
    end_in_words(main)
