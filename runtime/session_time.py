"""How long a session may last."""

import os
import time
from contextlib import suppress

import psutil

from runtime.tell import tell

KAGGLE = "KAGGLE_KERNEL_RUN_TYPE"  # Kaggle's notebooks have this variable
KAGGLE_HOURS = 11.5  # of the 12 that Kaggle gives


class SessionTime:
    """The age of a session, and whether another step still fits into it.

    Why not Lightning's `Timer`: it counts the time of all sessions of a fit, so a second session would stop at once.

    Args:
        hours: length of a session; null means 11.5 on Kaggle and no limit elsewhere. On Kaggle the session started with
            the machine, elsewhere with this process.
        reserve_minutes: minutes kept free before the end, on top of the longest of each thing that was noted.
    """

    def __init__(self, hours: float | None, reserve_minutes: float) -> None:
        if hours is not None and 60 * hours <= reserve_minutes:
            raise ValueError(
                f"A session of {hours} hours is over before its reserve of {reserve_minutes} minutes starts."
            )
        self.is_on_kaggle = KAGGLE in os.environ
        self.hours = KAGGLE_HOURS if hours is None and self.is_on_kaggle else hours
        self.reserve_s = 60 * reserve_minutes
        self.longest_s: dict[str, float] = {}
        self._born_at = time.monotonic() - (machine_age_s() if self.is_on_kaggle else 0.0)

    @property
    def age_s(self) -> float:
        """How old the session is."""
        return time.monotonic() - self._born_at

    def note(self, what: str, began_at: float) -> None:
        """Remembers how long a step, a validation, … took that started at `time.monotonic()` = `began_at`."""
        self.longest_s[what] = max(self.longest_s.get(what, 0.0), time.monotonic() - began_at)

    @property
    def is_up(self) -> bool:
        """Whether another step, with a validation, a checkpoint and an upload after it, would not fit any more."""
        needed_s = self.reserve_s + sum(self.longest_s.values())
        return self.hours is not None and self.age_s + needed_s > 3600 * self.hours

    def announce(self) -> None:
        """Prints one line about the limit, if there is one."""
        if self.hours is not None:
            where = " (Kaggle's limit is 12)" if self.is_on_kaggle else ""
            left = as_hours(max(0.0, 3600 * self.hours - self.age_s))
            tell(f"This session ends before it is {self.hours:g} hours old{where}; {left} are left.")


def machine_age_s() -> float:
    """Time since the container's first process started; 0 if that cannot be found out."""
    with suppress(psutil.Error, OSError, RuntimeError):
        return max(0.0, time.time() - psutil.Process(1).create_time())
    return 0.0


def as_hours(seconds: float) -> str:
    """`3 h 05 min`, `12 min`, `40 s`."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"
