"""Checks shared by the settings dataclasses."""

from dataclasses import fields
from typing import Any


def check_positive(settings: Any) -> None:
    """Raises ValueError if a value of a dataclass of numbers is not above 0."""
    for field in fields(settings):
        if not (value := getattr(settings, field.name)) > 0:
            raise ValueError(f"{field.name} is {value}, expected a number above 0.")
