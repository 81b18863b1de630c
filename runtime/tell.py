"""One way to tell the user something."""

from lightning.pytorch.utilities import rank_zero_only


def is_first_process() -> bool:
    """Whether this process is the first of a distributed run, or the only one."""
    return getattr(rank_zero_only, "rank", 0) == 0


def tell(message: str, by_each_process: bool = False) -> None:
    """Prints a message at once.

    Args:
        message: text for the user.
        by_each_process: the message is of this process alone. Of others the first process speaks for all.
    """
    if by_each_process or is_first_process():
        print(message, flush=True)
