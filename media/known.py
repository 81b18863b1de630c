"""Types that a checker cannot infer."""

from collections.abc import Iterable, Iterator
from itertools import chain, pairwise
from typing import Any, TypeVar

T = TypeVar("T")


def known(value: T | None) -> T:
    """Returns a value that cannot be None here."""
    assert value is not None
    return value


def with_following(items: Iterable[T]) -> Iterator[tuple[T, T | None]]:
    """Yields each item with the next one, and the last one with None."""
    padded: Iterable[Any] = chain(items, [None])
    return pairwise(padded)
