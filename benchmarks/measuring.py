"""Clocks, and the order in which things are measured."""

import io
import logging
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import torch

from networks.prior.incremental import Precision

MAX_REPETITIONS = 15


@dataclass(frozen=True)
class Plan:
    """How one run of the benchmarks measures.

    Attributes:
        device: where everything is computed.
        is_quick: fewer figures in less time.
        seed: of weights and data.
        overlay: a folder with `<system>.yaml` on top of the shipped configs, to measure other sizes.
        num_repetitions: of each figure, as a rule.
        enough_s: fast figures are repeated more often, for about so long.
        patience_s: slow ones less often: after this time no repetition begins.
    """

    device: torch.device
    is_quick: bool = False
    seed: int = 1
    overlay: Path | None = None
    num_repetitions: int = 3
    enough_s: float = 4.0
    patience_s: float = 75.0

    def seconds(self, run: Callable[[], object]) -> float:
        """Wall-clock time of one call, work that a GPU still has to do included."""
        self.synchronise()
        started_at = time.perf_counter()
        run()
        self.synchronise()
        return time.perf_counter() - started_at

    def interleaved(self, contenders: Mapping[str, Callable[[], float]]) -> dict[str, list[float]]:
        """What each contender measures, again and again in turn: what disturbs one disturbs the others as well."""
        found: dict[str, list[float]] = {name: [] for name in contenders}
        started_at = time.perf_counter()
        for num_done in range(MAX_REPETITIONS):
            if self.is_enough(num_done, time.perf_counter() - started_at):
                break
            for name, contender in contenders.items():
                found[name].append(contender())
        return found

    def is_enough(self, num_repetitions: int, seconds: float) -> bool:
        """Whether so many repetitions, which took so long, are all there will be."""
        if num_repetitions < self.num_repetitions:
            return num_repetitions > 0 and seconds > self.patience_s
        return self.is_quick or seconds > self.enough_s

    def autocast(self, dtype: torch.dtype | None) -> AbstractContextManager:
        """Mixed precision; None leaves fp32."""
        return nullcontext() if dtype is None else torch.autocast(self.device.type, dtype)

    def half(self, precision: str) -> AbstractContextManager:
        """What `Sampling.precision` means on a GPU: there autocast decides."""
        is_wanted = precision == "float16" and self.device.type == "cuda"
        return self.autocast(torch.float16 if is_wanted else None)

    def of_weights(self, precision: Precision) -> Precision:
        """What the sampler is given: on a GPU autocast does the rest."""
        return precision if self.device.type == "cpu" else "float32"

    def synchronise(self) -> None:
        """Waits for the device."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def tell(text: str) -> None:
    """A line of progress."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def quiet() -> Iterator[None]:
    """Without the bars, hints and messages of what is measured."""
    logging.disable(logging.INFO)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)
