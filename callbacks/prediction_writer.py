"""Predictions as files, with a summary table."""

import csv
import os
from collections import Counter
from datetime import timedelta
from itertools import zip_longest
from pathlib import Path
from typing import Any

import torch.distributed
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from media.files import atomic_path
from media.pictures import draw_grids, write_png
from pipelines.input_records import InputRecords
from runtime.tell import tell

NUM_IN_OVERVIEW = 8
NUM_ROWS_SHOWN = 20
LONGEST_WAIT = timedelta(days=30)  # for the processes that end last; the usual limit is half an hour


class PredictionWriter(BasePredictionWriter):
    """Saves each prediction as soon as it is made, then a summary table as `predictions.csv` and on the screen.

    `overview.png` shows the first predictions with pictures, each class in turn.

    If the data module has an `input_set` (`datamodules.files.inputs.Inputs`), `InputRecords` are kept of the inputs
    that the user named. The same command then skips finished inputs. An input that fails is reported, stops no other,
    and is tried again by the next command. The table has a row for each input of all processes.

    Args:
        output_dir: folder of the files; created if it is missing.
        overwrite: whether to repeat finished inputs and to replace existing files.

    Raises:
        ValueError: at the very end, if inputs have failed.
    """

    def __init__(self, output_dir: str = "outputs", overwrite: bool = False) -> None:
        super().__init__(write_interval="batch")
        self.output_dir = Path(output_dir)
        self.overwrite = overwrite
        self.rows: list[dict[str, Any]] = []
        self.overview: dict[str, list[list[tuple[str, Any]]]] = {}
        self.records: InputRecords | None = None
        self._group: Any = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Lets the processes of a run wait for each other, since their last inputs may end hours apart."""
        super().setup(trainer, pl_module, stage)
        self.rows, self._group = [], None
        if stage == "predict" and trainer.world_size > 1 and hasattr(trainer.datamodule, "input_set"):
            self._group = torch.distributed.new_group(backend="gloo", timeout=LONGEST_WAIT)

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.rows, self.overview, self.records = [], {}, None
        data = getattr(trainer, "datamodule", None)
        if hasattr(data, "input_set"):
            parts = {"data": data, "model": pl_module}
            settings = {name: part.settings() for name, part in parts.items() if hasattr(part, "settings")}
            self.records = InputRecords(self.output_dir, settings, self.overwrite, data.input_set.output_suffixes)
            data.input_set.ask_first = self.records.start

    def write_on_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, prediction: Any, batch_indices: Any, batch: Any, *args: Any
    ) -> None:
        if self.records is not None:
            row = self.records.end(batch.path, prediction)
            self.rows.append(row)
            if row["status"] == "failed":
                reason = row["reason"] if row["input"] in row["reason"] else f"{row['input']}: {row['reason']}"
                tell(_printable(f"Failed: {reason}"), by_each_process=True)
            return
        self.output_dir.mkdir(parents=True, exist_ok=True)
        for result in prediction:
            self.rows.append(result.save(self.output_dir))
            if getattr(result, "pictures", None):
                of_class = self.overview.setdefault(result.label, [])
                if len(of_class) < NUM_IN_OVERVIEW:
                    of_class.append([(f"{result.label}: {title}", grid.cpu()) for title, grid in result.pictures])

    def on_predict_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Writes and prints the summary, unless the inputs have records, which `teardown` summarises."""
        if not self.rows or self.records is not None:
            return
        path = self._write_table(self.rows)
        if self.overview:
            turns = [row for turn in zip_longest(*self.overview.values()) for row in turn if row is not None]
            write_png(self.output_dir / "overview.png", draw_grids(turns[:NUM_IN_OVERVIEW]))
        _show(self.rows[:NUM_ROWS_SHOWN], f"{len(self.rows)} prediction{'s' * (len(self.rows) > 1)}, also in {path}")

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Leaves the current input to the next run."""
        if self.records is not None:
            self.records.release()
            if isinstance(exception, KeyboardInterrupt):
                num_inputs = len(trainer.datamodule.input_set)
                stopped = f"Stopped after {len(self.rows)} of {num_inputs} inputs. The same command resumes."
                tell(stopped, by_each_process=True)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Writes and prints the summary of all processes' inputs, after the progress bar and when all have ended."""
        inputs = getattr(trainer.datamodule, "input_set", None)
        if stage != "predict" or inputs is None:
            return
        rows = self._rows_of_all(trainer)
        if not trainer.is_global_zero or not rows:
            return
        place = {str(path): number for number, path in enumerate(inputs.paths)}
        rows = sorted(rows, key=lambda row: place[row["input"]])
        path = self._write_table(rows)
        failed = [row for row in rows if row["status"] == "failed"]
        others = [row for row in rows if row["status"] != "failed"][: max(0, NUM_ROWS_SHOWN - len(failed))]
        # On the screen without folders: six columns are narrow, and a reason names its file in full.
        shown = [
            row | {"input": Path(row["input"]).name, "output": row["output"].replace(f"{self.output_dir}{os.sep}", "")}
            for row in sorted(failed + others, key=lambda row: place[row["input"]])
        ]
        _show(shown, f"{len(rows)} input{'s' * (len(rows) > 1)}, also in {path}")
        counts = Counter(row["status"] for row in rows)
        tell(", ".join(f"{counts[status]} {status}" for status in ("done", "skipped", "failed")))
        if failed:
            raise ValueError(f"{len(failed)} of {len(rows)} inputs failed; see {path}")

    def _rows_of_all(self, trainer: Trainer) -> list[dict[str, Any]]:
        if self._group is None:
            return self.rows
        parts: list[Any] = [None] * trainer.world_size
        torch.distributed.all_gather_object(parts, self.rows, group=self._group)
        return [row for part in parts for row in part]

    def _write_table(self, rows: list[dict[str, Any]]) -> Path:
        path = self.output_dir / "predictions.csv"
        with (
            atomic_path(path) as temporary,
            temporary.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file,
        ):
            writer = csv.DictWriter(file, fieldnames=_columns(rows))
            writer.writeheader()
            writer.writerows(rows)
        return path


def _show(rows: list[dict[str, Any]], title: str) -> None:
    table = Table(title=title)
    shown = [name for name in _columns(rows) if any(row.get(name, "") != "" for row in rows)]
    for name in shown:
        table.add_column(escape(name), overflow="fold")  # a shortened path is useless
    for row in rows:
        table.add_row(*(escape(_printable(str(row.get(name, "")))) for name in shown))
    Console().print(table)


def _columns(rows: list[dict[str, Any]]) -> list[str]:
    """Returns all columns in the order of the longest row, since rows without a result are shorter."""
    return list(dict.fromkeys(name for row in sorted(rows, key=len, reverse=True) for name in row))


def _printable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")  # a file name may be invalid Unicode
