"""The time limit of a session."""

import os
import time
from contextlib import suppress

import psutil

from runtime.tell import tell

KAGGLE = "KAGGLE_KERNEL_RUN_TYPE"  # a variable of Kaggle's notebooks
KAGGLE_HOURS = 11.5  # of the 12 that Kaggle gives


class SessionTime:
    """The age of a session, and whether another step fits into it.

    Lightning's `Timer` counts the time of all sessions of a fit, so that a second session would stop at once.

    Args:
        hours: length of a session; null means 11.5 on Kaggle and no limit elsewhere. A session starts with the machine
            on Kaggle, and with this process elsewhere.
        reserve_minutes: minutes kept free before the end, besides the longest of each part that was noted.
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
        self._started_at = time.monotonic() - (machine_age_s() if self.is_on_kaggle else 0.0)

    @property
    def age_s(self) -> float:
        return time.monotonic() - self._started_at

    def note(self, part: str, started_at: float) -> None:
        """Notes the duration of a part, such as a step or a validation, from its start by `time.monotonic()`."""
        self.longest_s[part] = max(self.longest_s.get(part, 0.0), time.monotonic() - started_at)

    @property
    def is_up(self) -> bool:
        """Whether the time is too short for another step with a validation, a checkpoint and an upload after it."""
        needed_s = self.reserve_s + sum(self.longest_s.values())
        return self.hours is not None and self.age_s + needed_s > 3600 * self.hours

    def announce(self) -> None:
        """Prints the limit, if there is one."""
        if self.hours is not None:
            kaggle = " (Kaggle's limit is 12)" if self.is_on_kaggle else ""
            left = as_hours(max(0.0, 3600 * self.hours - self.age_s))
            tell(f"This session ends before it is {self.hours:g} hours old{kaggle}; {left} are left.")


def machine_age_s() -> float:
    """Seconds since the container's first process started; 0 if unknown."""
    with suppress(psutil.Error, OSError, RuntimeError):
        return max(0.0, time.time() - psutil.Process(1).create_time())
    return 0.0


def as_hours(seconds: float) -> str:
    """Formats a duration as `3 h 05 min`, `12 min` or `40 s`."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"
