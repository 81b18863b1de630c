"""Pictures and sounds of a fit."""

from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import WandbLogger
from torch.utils.data import default_collate

from media.pictures import draw_confusion_matrix, draw_grids, write_png
from media.sound.sound_files import write_wav


class MediaLogger(Callback):
    """Logs predictions for the same examples at every n-th validation: pictures, sounds, or the confusion matrix.

    The examples are the data module's `validation_examples`, or the first validation batch if it has none.

    Args:
        every_n_validations: validations from one log to the next; 0 switches it off.
        num_examples: examples in each log.
        folder: folder of the files that are written without W&B.
    """

    def __init__(self, every_n_validations: int = 5, num_examples: int = 4, folder: str = "outputs/training") -> None:
        self.every_n_validations = every_n_validations
        self.num_validations = 0
        self.num_examples = num_examples
        self.folder = Path(folder)

    def state_dict(self) -> dict[str, Any]:
        return {"num_validations": self.num_validations}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.num_validations = state_dict["num_validations"]

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Logs the examples at the first validation and at every n-th after it."""
        if trainer.sanity_checking or trainer.state.fn != "fit" or not self.every_n_validations:
            return
        is_due = self.num_validations % self.every_n_validations == 0
        self.num_validations += 1
        if not is_due or not trainer.is_global_zero:
            return
        if (matrix := getattr(pl_module, "confusion_matrix", None)) is not None:
            self._log_picture(trainer, "confusion_matrix", draw_confusion_matrix(matrix, pl_module.classes))
            return
        predictions = pl_module.predict_step(self._examples(trainer), 0)[: self.num_examples]
        shown = [prediction for prediction in predictions if getattr(prediction, "pictures", None)]
        rows = [[(f"{p.label}: {title}", grid.cpu().float()) for title, grid in p.pictures] for p in shown]
        if rows:
            is_image = any(grid.ndim == 3 for row in rows for _, grid in row)
            self._log_picture(trainer, "pictures" if is_image else "spectrograms", draw_grids(rows))
        for number, prediction in enumerate(predictions):
            if getattr(prediction, "waveform", None) is not None:
                waveform = prediction.waveform.cpu().float().numpy()
                self._log_sound(trainer, f"{prediction.label}_{number}", waveform, prediction.sample_rate_hz)

    def _examples(self, trainer: Trainer) -> dict[str, Any]:
        if hasattr(trainer.datamodule, "validation_examples"):
            batch = default_collate(trainer.datamodule.validation_examples(self.num_examples))
        else:
            batch = next(iter(trainer.val_dataloaders))
        return trainer.strategy.batch_to_device(batch)

    def _log_picture(self, trainer: Trainer, name: str, picture: np.ndarray) -> None:
        if isinstance(trainer.logger, WandbLogger):
            trainer.logger.log_image(f"media/{name}", [picture], step=trainer.global_step)
        else:
            write_png(self.folder / f"{name}_{trainer.global_step:06d}.png", picture)

    def _log_sound(self, trainer: Trainer, name: str, waveform: np.ndarray, sample_rate_hz: int) -> None:
        if isinstance(trainer.logger, WandbLogger):
            rates = [sample_rate_hz]
            trainer.logger.log_audio(f"media/{name}", [waveform], step=trainer.global_step, sample_rate=rates)
        else:
            write_wav(self.folder / f"{name}_{trainer.global_step:06d}.wav", waveform, sample_rate_hz)
