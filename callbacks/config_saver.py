"""Keeps the whole configuration of a run beside and inside its checkpoints, and with its dashboard."""

from pathlib import Path
from typing import Any

import yaml
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.cli import SaveConfigCallback

from runtime.resuming import CONFIG_KEY


class ConfigSaver(SaveConfigCallback):
    """Writes `config.yaml` into the checkpoint folder and hands the same configuration to the logger.

    It lies in every checkpoint, too, so that a resumed fit can tell what has changed.
    """

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """As YAML."""
        checkpoint[CONFIG_KEY] = self.parser.dump(self.config, skip_none=False)

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Writes it on rank 0, once, when a fit starts, unless the fit is only tried out."""
        if stage != "fit" or trainer.fast_dev_run:
            return
        text = self.parser.dump(self.config, skip_none=False)
        folder = Path(trainer.checkpoint_callback.dirpath) if trainer.checkpoint_callback else None
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            temporary = folder / ".config.yaml.tmp"
            temporary.write_text(text, encoding="utf-8")
            temporary.replace(folder / "config.yaml")
        for logger in trainer.loggers:
            logger.log_hyperparams(yaml.safe_load(text))
