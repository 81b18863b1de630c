"""The interface of whatever makes sound: the composite and its evaluation know no more of it."""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from media import Geometry
from media.sound.events import Event, EventPool, EventSettings

Seed = tuple[int, ...]  # numbers that all randomness of a row comes from
WINDOWS_AT_ONCE = 4
MAX_WINDOWS = 12


@dataclass(frozen=True)
class FromReal:
    """A way to make sounds from real ones, which an evaluation has a row for.

    Attributes:
        make: waveforms (batch, samples) of a class, the class, and a seed for each → waveforms of the same shape.
        models: names of the models that the result depends on.
        settings: names of the settings that it depends on, `seed` among them if it is random.
    """

    make: Callable[[Tensor, int, list[Seed]], Tensor]
    models: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()


class Generator(Protocol):
    """Makes sounds of a class. A class that inherits from it writes `sound` and `settings`; the rest is optional.

    Attributes:
        geometry: length and sample rate of a window.
        rows_at_once: sounds that fit memory together.
    """

    geometry: Geometry
    rows_at_once: int = 64

    @abstractmethod
    def sound(self, label: int, seeds: list[Seed], num_samples: int) -> Iterator[np.ndarray]:
        """Sound without a pause, in constant memory; a row sounds as it does alone.

        Args:
            label: number of the class.
            seeds: seed of each row.
            num_samples: samples of each row.

        Yields:
            float32 (rows, samples), together `num_samples`.
        """

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """All that its sounds depend on besides seeds and models, as plain data."""

    def windows(self, label: int, seeds: list[Seed]) -> np.ndarray:
        """A window of sound for each seed: float32 (rows, window_samples)."""
        parts = [seeds[first : first + self.rows_at_once] for first in range(0, len(seeds), self.rows_at_once)]
        return np.concatenate(
            [np.concatenate([*self.sound(label, part, self.geometry.window_samples)], axis=1) for part in parts]
        )

    def events(self, label: int, seeds: list[int], settings: EventSettings) -> list[list[Event]]:
        """Single events of a class, those that stand out most first; none for a seed whose sound has no events.

        Windows are drawn, several at once, until every seed has events to choose from, or has had its share.
        """
        rate, max_s = self.geometry.sample_rate_hz, MAX_WINDOWS * self.geometry.window_s
        pools = [EventPool(rate, max_s=max_s, settings=settings) for _ in seeds]
        num_windows = 0
        while not all(pool.is_enough for pool in pools):
            windows = range(num_windows, num_windows + WINDOWS_AT_ONCE)
            sound = self.windows(label, [(seed, label, window) for seed in seeds for window in windows])
            for pool, part in zip(pools, np.split(sound, len(seeds)), strict=True):
                if not pool.is_enough:  # so that a seed gets the same events alone
                    for window in part:
                        pool.add(window)
            num_windows += WINDOWS_AT_ONCE
        return [pool.best() for pool in pools]

    def from_real(self) -> Mapping[str, FromReal]:
        """The ways to make sounds from real ones, by the row of an evaluation that shows it."""
        return {}

    def codes(self, waveform: Tensor) -> dict[str, Tensor]:
        """What its models are measured on, by name, of waveforms (batch, samples)."""
        return {}
