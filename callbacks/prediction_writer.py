"""Stores what `predict` gives."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from media.pictures import draw_grids, write_png

NUM_IN_OVERVIEW = 8


class PredictionWriter(BasePredictionWriter):
    """Saves each prediction as soon as it is made, then a summary table as `predictions.csv` and on the screen.

    Predictions that have pictures are shown side by side in `overview.png`, the first few of them.

    Args:
        output_dir: the folder for everything; made where it is missing.
    """

    def __init__(self, output_dir: str = "outputs") -> None:
        super().__init__(write_interval="batch")
        self.output_dir = Path(output_dir)
        self.rows: list[dict[str, Any]] = []
        self.overview: list[list[tuple[str, Any]]] = []

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts a new table."""
        self.rows, self.overview = [], []

    def write_on_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        prediction: Any,
        batch_indices: Sequence[int] | None,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        """Each prediction knows how it is stored."""
        self.output_dir.mkdir(parents=True, exist_ok=True)
        for result in prediction:
            self.rows.append(result.save(self.output_dir))
            if hasattr(result, "pictures") and len(self.overview) < NUM_IN_OVERVIEW:
                self.overview.append([(f"{result.label}: {title}", grid.cpu()) for title, grid in result.pictures])

    def on_predict_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Writes and prints the summary."""
        if not self.rows:
            return
        path = self.output_dir / "predictions.csv"
        temporary = path.with_name(f".{path.name}.tmp")
        with temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, fieldnames=list(self.rows[0]))
            writer.writeheader()
            writer.writerows(self.rows)
        temporary.replace(path)
        if self.overview:
            write_png(self.output_dir / "overview.png", draw_grids(self.overview))
        table = Table(title=f"{len(self.rows)} prediction{'s' * (len(self.rows) > 1)}, also in {path}")
        for name in self.rows[0]:
            table.add_column(escape(name), overflow="fold")  # a path that is cut is of no use
        for row in self.rows[:20]:
            table.add_row(*(escape(str(value)) for value in row.values()))
        Console().print(table)
