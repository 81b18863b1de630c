"""What the settings dataclasses share."""

from dataclasses import fields
from typing import Any


def check_positive(settings: Any) -> None:
    """Raises a ValueError which names the first value of a dataclass of numbers that is not above 0."""
    for field in fields(settings):
        if not (value := getattr(settings, field.name)) > 0:
            raise ValueError(f"{field.name} is {value}, expected a number above 0.")
