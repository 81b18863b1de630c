"""The whole configuration of a run, beside and in its checkpoints and in its logger."""

from pathlib import Path
from typing import Any

import yaml
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.cli import SaveConfigCallback

from media.files import atomic_path
from runtime.resuming import CONFIG_KEY


class ConfigSaver(SaveConfigCallback):
    """Writes `config.yaml` beside the checkpoints, and its text into them, for resumed fits to compare, and loggers."""

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint[CONFIG_KEY] = self.parser.dump(self.config, skip_none=False)

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Writes the configuration once on rank 0 when a fit starts, unless it is a trial run."""
        if stage != "fit" or trainer.fast_dev_run:
            return
        text = self.parser.dump(self.config, skip_none=False)
        if trainer.checkpoint_callback:
            with atomic_path(Path(trainer.checkpoint_callback.dirpath, "config.yaml")) as temporary:
                temporary.write_text(text, encoding="utf-8")
        for logger in trainer.loggers:
            logger.log_hyperparams(yaml.safe_load(text))
