"""The results of an evaluation as files, on the screen and in W&B."""

import json
import os
import platform
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import WandbLogger

from media.files import atomic_path
from media.pictures import draw_grids, write_png
from media.report.evaluation_page import EvaluationPage, ShownSound, Strip, write_evaluation_page
from media.sound.spectrogram import spectrogram_of_file
from pipelines.evaluation import tables
from pipelines.evaluation.rows import MEASURED_ROWS, ROWS
from pipelines.evaluation.sound_store import SoundStore
from runtime.precision import find_device
from runtime.tell import tell
from runtime.wandb_run import wandb_loggers

NUM_PLAYERS = 12
NUM_IN_PICTURE = 6
NUM_LOGGED = 2


class EvaluationWriter(Callback):
    """Writes the results of a composite's `test`; it ignores other models.

    `results.md` has the tables, `results.json` every figure, `index.html` the sounds to listen to, `<class>.png` their
    spectrograms, and `sounds/` all sounds, from which the same command resumes an interrupted evaluation. Figures,
    pictures and some sounds are logged to W&B, too.

    Args:
        output_dir: folder of the results; created if it is missing.

    Attributes:
        command: command that the user typed.
    """

    def __init__(self, output_dir: str = "outputs/evaluation") -> None:
        self.output_dir = Path(output_dir)
        self.command = ""

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if hasattr(pl_module, "evaluation"):
            pl_module.evaluation.store = SoundStore(self.output_dir / "sounds", pl_module.geometry.sample_rate_hz)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not hasattr(pl_module, "evaluation"):
            return
        results = pl_module.evaluation.results
        facts = self._facts(trainer, results)
        with atomic_path(self.output_dir / "results.json") as temporary:
            plain = facts | {"seed": results["settings"]["seed"]} | results
            temporary.write_text(json.dumps(plain, indent=1, allow_nan=False))
        shown = {name: _strips(self.output_dir, name, results, pl_module) for name in results["classes"]}
        pictures = {}
        for name, strips in shown.items():
            rows = [
                [(f"{s.title} {sound.name}", sound.spectrogram) for sound in s.sounds[:NUM_IN_PICTURE]] for s in strips
            ]
            pictures[f"{name}.png"] = draw_grids(rows)
            write_png(self.output_dir / f"{name}.png", pictures[f"{name}.png"])
        with atomic_path(self.output_dir / "results.md") as temporary:
            temporary.write_text(tables.markdown(results, facts, list(pictures)), encoding="utf-8")
        meanings = {tables.title_of(row): MEASURED_ROWS[row] for row in results["rows"]}
        page = EvaluationPage(
            facts,
            tables.header(results),
            tables.table(results),
            meanings | dict(tables.measured(results).values()),
            tables.remarks(results),
            tables.model_figures(results),
            shown,
        )
        write_evaluation_page(page, self.output_dir / "index.html")
        for logger in wandb_loggers(trainer):
            self._log(logger, results, pictures, shown)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        if isinstance(exception, KeyboardInterrupt) and hasattr(pl_module, "evaluation"):
            tell(f"The sounds made so far are in {self.output_dir / 'sounds'}. Resume with:\n  {self.command}")

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Prints the table, after the progress bar."""
        results = pl_module.evaluation.results if stage == "test" and hasattr(pl_module, "evaluation") else {}
        if results:
            tables.show(results, f"Evaluation; more in {self.output_dir / 'index.html'}")

    def _facts(self, trainer: Trainer, results: dict[str, Any]) -> dict[str, str]:
        device = find_device().name if trainer.strategy.root_device.type != "cpu" else "CPU"
        machine = f"{device}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}"
        return {
            "command": self.command,
            "machine": f"{machine}, Python {platform.python_version()}, torch {torch.__version__}",
            "seed": str(results["settings"]["seed"]),
            "held-out sounds": {"test": "the test part", "val": "the validation part"}[trainer.datamodule.part],
            "embedding": results["embedding"],
            "tagger": results["tagger"] or "none",
            "second listener": results["listener"] or "none",
        }

    def _log(
        self,
        logger: WandbLogger,
        results: dict[str, Any],
        pictures: dict[str, np.ndarray],
        shown: dict[str, list[Strip]],
    ) -> None:
        logger.log_metrics(dict(_flat(results)))
        for name, picture in pictures.items():
            logger.log_image(f"evaluation/{Path(name).stem}", [picture])
        for name, strips in shown.items():
            for strip in strips:
                waveforms = [soundfile.read(self.output_dir / sound.path)[0] for sound in strip.sounds[:NUM_LOGGED]]
                rates = [results["sample_rate_hz"]] * len(waveforms)
                logger.log_audio(f"evaluation/{strip.title}/{name}", waveforms, sample_rate=rates)


def _strips(folder: Path, class_name: str, results: dict[str, Any], model: LightningModule) -> list[Strip]:
    """Selects sounds with the same numbers, spread over all, from each row, so that rows of real sounds are alike."""
    num_sounds = min(scopes[class_name]["num_sounds"] for scopes in results["rows"].values())
    num_shown = min(NUM_PLAYERS, num_sounds)
    numbers = [num_sounds * place // num_shown for place in range(num_shown)]
    strips = []
    for row in filter(ROWS.__contains__, results["rows"]):
        paths = [Path("sounds", row, class_name, f"{number:04d}.flac") for number in numbers]
        sounds = [ShownSound(path.stem, path, spectrogram_of_file(folder / path, model.geometry)) for path in paths]
        strips.append(Strip(tables.title_of(row), ROWS[row], sounds))
    return strips


def _flat(results: dict[str, Any]) -> list[tuple[str, float]]:
    """Names and values of all figures, for W&B."""
    figures = [
        (f"evaluation/{row}/{scope}/{name}", figure["value"])
        for row, scopes in results["rows"].items()
        for scope, figures in scopes.items()
        for name, figure in figures.items()
        if name in tables.FIGURES and figure["value"] is not None
    ]
    return figures + [
        (f"evaluation/{model}/{name}", value)
        for model, values in results["models"].items()
        for name, value in values.items()
    ]
