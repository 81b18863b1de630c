"""Stores what an evaluation finds, and shows it."""

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
from pipelines.evaluation.rows import MEASURED_ROWS, ROWS
from pipelines.evaluation.sound_store import SoundStore
from pipelines.evaluation.tables import (
    FIGURES,
    header,
    markdown,
    measured,
    model_figures,
    remarks,
    show,
    table,
    title_of,
)
from runtime.precision import find_device
from runtime.tell import tell

NUM_PLAYERS = 12
NUM_IN_PICTURE = 6
NUM_LOGGED = 2


class EvaluationWriter(Callback):
    """Writes the results of a composite's `test`; of other models' it writes nothing.

    There are `results.md` to read, `results.json` with every figure, `index.html` to listen to, a picture of
    spectrograms for each class, and below `sounds` all sounds. Those are kept: if an evaluation is interrupted, the
    same command resumes it. With W&B the figures, the pictures and some sounds go to the run, too.

    Args:
        output_dir: the folder for all of it; made if it is missing.

    Attributes:
        command: that made the results, as the user typed it.
    """

    def __init__(self, output_dir: str = "outputs/evaluation") -> None:
        self.output_dir = Path(output_dir)
        self.command = ""

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Lets the evaluation keep its sounds."""
        if hasattr(pl_module, "evaluation"):
            pl_module.evaluation.store = SoundStore(self.output_dir / "sounds", pl_module.geometry.sample_rate_hz)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Writes everything."""
        if not hasattr(pl_module, "evaluation"):
            return
        results = pl_module.evaluation.results
        facts = self._facts(trainer, results)
        with atomic_path(self.output_dir / "results.json") as temporary:
            plain = facts | {"seed": results["settings"]["seed"]} | results
            temporary.write_text(json.dumps(plain, indent=1, allow_nan=False))
        shown = {name: _strips(self.output_dir, name, results, pl_module) for name in results["classes"]}
        pictures = {name: draw_grids(_grids(strips)) for name, strips in shown.items()}
        for name, picture in pictures.items():
            write_png(self.output_dir / f"{name}.png", picture)
        with atomic_path(self.output_dir / "results.md") as temporary:
            temporary.write_text(markdown(results, facts, [f"{name}.png" for name in pictures]), encoding="utf-8")
        meanings = {title_of(row): MEASURED_ROWS[row] for row in results["rows"]} | dict(measured(results).values())
        page = EvaluationPage(
            facts, header(results), table(results), meanings, remarks(results), model_figures(results), shown
        )
        write_evaluation_page(page, self.output_dir / "index.html")
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                self._log(logger, results, pictures, shown)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Says that nothing is lost."""
        if isinstance(exception, KeyboardInterrupt) and hasattr(pl_module, "evaluation"):
            tell(f"The sounds made so far are in {self.output_dir / 'sounds'}. Resume with:\n  {self.command}")

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Prints the table, after the progress bar."""
        results = pl_module.evaluation.results if stage == "test" and hasattr(pl_module, "evaluation") else {}
        if results:
            show(results, f"Evaluation; more of it in {self.output_dir / 'index.html'}")

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
            logger.log_image(f"evaluation/{name}", [picture])
        for name, strips in shown.items():
            for strip in strips:
                waveforms = [soundfile.read(self.output_dir / sound.path)[0] for sound in strip.sounds[:NUM_LOGGED]]
                rates = [results["sample_rate_hz"]] * len(waveforms)
                logger.log_audio(f"evaluation/{strip.title}/{name}", waveforms, sample_rate=rates)


def _strips(folder: Path, class_name: str, results: dict[str, Any], model: LightningModule) -> list[Strip]:
    """Of each row the sounds with the same numbers, spread over all: rows of real sounds then show the same ones."""
    num_sounds = min(scopes[class_name]["num_sounds"] for scopes in results["rows"].values())
    num_shown = min(NUM_PLAYERS, num_sounds)
    numbers = [num_sounds * place // num_shown for place in range(num_shown)]
    strips = []
    for row in filter(ROWS.__contains__, results["rows"]):
        paths = {number: Path("sounds", row, class_name, f"{number:04d}.flac") for number in numbers}
        sounds = [
            ShownSound(path.stem, path, spectrogram_of_file(folder / path, model.geometry)) for path in paths.values()
        ]
        strips.append(Strip(title_of(row), ROWS[row], sounds))
    return strips


def _grids(strips: list[Strip]) -> list[list[tuple[str, np.ndarray]]]:
    return [
        [(f"{strip.title} {sound.name}", sound.spectrogram) for sound in strip.sounds[:NUM_IN_PICTURE]]
        for strip in strips
    ]


def _flat(results: dict[str, Any]) -> list[tuple[str, float]]:
    """Name and value of every figure, for a dashboard."""
    figures = [
        (f"evaluation/{row}/{scope}/{name}", figure["value"])
        for row, scopes in results["rows"].items()
        for scope, figures in scopes.items()
        for name, figure in figures.items()
        if name in FIGURES and figure["value"] is not None
    ]
    return figures + [
        (f"evaluation/{model}/{name}", value)
        for model, values in results["models"].items()
        for name, value in values.items()
    ]
