"""Clocks, and the order of measurements."""

import io
import logging
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch

from networks.prior.incremental import Precision

MAX_REPETITIONS = 15
Measured = TypeVar("Measured")


@dataclass(frozen=True)
class Plan:
    """How one run of the benchmarks measures.

    Attributes:
        device: device of all computation.
        is_quick: measure fewer figures in less time.
        seed: seed of weights and data.
        overlay: folder with `<system>.yaml` on top of the shipped configs, to measure other sizes.
        num_repetitions: usual number of repetitions of each figure.
        enough_s: time for which fast figures are repeated more often.
        patience_s: time after which slow figures are not repeated.
    """

    device: torch.device
    is_quick: bool = False
    seed: int = 1
    overlay: Path | None = None
    num_repetitions: int = 3
    enough_s: float = 4.0
    patience_s: float = 75.0

    def seconds(self, run: Callable[[], object]) -> float:
        """Measures the wall-clock time of one call, including pending work of a GPU."""
        self.synchronise()
        started_at = time.perf_counter()
        run()
        self.synchronise()
        return time.perf_counter() - started_at

    def interleaved(self, contenders: Mapping[str, Callable[[], Measured]]) -> dict[str, list[Measured]]:
        """Lets contenders measure in turn, again and again, so that a disturbance affects all of them."""
        found: dict[str, list[Measured]] = {name: [] for name in contenders}
        started_at = time.perf_counter()
        for num_done in range(MAX_REPETITIONS):
            if self.is_enough(num_done, time.perf_counter() - started_at):
                break
            for name, contender in contenders.items():
                found[name].append(contender())
        return found

    def is_enough(self, num_repetitions: int, seconds: float) -> bool:
        """Whether no further repetition is needed after this number and time."""
        if num_repetitions < self.num_repetitions:
            return num_repetitions > 0 and seconds > self.patience_s
        return self.is_quick or seconds > self.enough_s

    def autocast(self, dtype: torch.dtype | None) -> AbstractContextManager:
        """Mixed precision of this type; None for fp32."""
        return nullcontext() if dtype is None else torch.autocast(self.device.type, dtype)

    def half(self, precision: str) -> AbstractContextManager:
        """Autocast for this `Sampling.precision`, which has an effect on a GPU only."""
        is_wanted = precision == "float16" and self.device.type == "cuda"
        return self.autocast(torch.float16 if is_wanted else None)

    def of_weights(self, precision: Precision) -> Precision:
        """The sampler's own precision, which is float32 on a GPU, as autocast decides there."""
        return precision if self.device.type == "cpu" else "float32"

    def synchronise(self) -> None:
        """Waits for the device."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def tell(text: str) -> None:
    """Prints a line of progress."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def quiet() -> Iterator[None]:
    """Hides progress bars, hints and messages."""
    logging.disable(logging.INFO)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)
