"""Types that libraries leave open."""

from collections.abc import Iterable, Iterator
from itertools import chain, pairwise
from typing import Any, TypeVar

T = TypeVar("T")


def known(value: T | None) -> T:
    """The value itself, of which the code before has made sure that it is there."""
    assert value is not None
    return value


def with_following(items: Iterable[T]) -> Iterator[tuple[T, T | None]]:
    """Each item with the one after it; with the last comes None."""
    padded: Iterable[Any] = chain(items, [None])
    return pairwise(padded)
