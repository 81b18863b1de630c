"""Messages to the user."""

import logging
import warnings

from lightning.pytorch.utilities import rank_zero_only


def is_first_process() -> bool:
    """Whether this process is the first of a distributed run, or the only one."""
    return getattr(rank_zero_only, "rank", 0) == 0


def tell(message: str, by_each_process: bool = False) -> None:
    """Prints a message at once, in the first process only unless it is `by_each_process`."""
    if by_each_process or is_first_process():
        print(message, flush=True)


def quieten_lightning() -> None:
    """Silences Lightning's advertisements, and its warnings about things that are intended here."""
    warnings.filterwarnings("ignore", "Checkpoint directory .* exists and is not empty")  # resuming is intended
    warnings.filterwarnings("ignore", ".*LeafSpec", FutureWarning)  # inside lightning, with new versions of torch
    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(_is_of_use)


def _is_of_use(record: logging.LogRecord) -> bool:
    return not any(words in record.getMessage() for words in ("litlogger", "TPU available"))
