"""The interface of everything that makes sound of a class."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from media import Geometry
from media.sound.events import Event, EventPool, EventSettings

Seed = tuple[int, ...]  # the numbers that a sound is a function of
WINDOWS_AT_ONCE = 4
MAX_WINDOWS = 12


@dataclass(frozen=True)
class FromReal:
    """A way to make sounds from real ones, for a row of an evaluation.

    Attributes:
        make: function of waveforms (batch, samples), their class and a seed for each, to waveforms of the same shape.
        models: names of the models that the result depends on.
        settings: names of the settings that it depends on, with `seed` if it is random.
    """

    make: Callable[[Tensor, int, list[Seed]], Tensor]
    models: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()


class Generator(ABC):
    """Makes sounds of a class; videos and evaluations need nothing else.

    Attributes:
        geometry: length and sample rate of a window.
        rows_at_once: sounds that fit into memory together.
    """

    geometry: Geometry
    rows_at_once: int = 64

    @abstractmethod
    def sound(self, label: int, seeds: list[Seed], num_samples: int) -> Iterator[np.ndarray]:
        """Continuous sounds in constant memory, one for each seed and independent of the other seeds.

        Yields:
            float32 (seeds, samples), together `num_samples`.
        """

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Everything except seeds and models that its sounds depend on, as plain data."""

    def windows(self, label: int, seeds: list[Seed]) -> np.ndarray:
        """A window of sound for each seed: float32 (seeds, window_samples)."""
        parts = [seeds[first : first + self.rows_at_once] for first in range(0, len(seeds), self.rows_at_once)]
        return np.concatenate(
            [np.concatenate([*self.sound(label, part, self.geometry.window_samples)], axis=1) for part in parts]
        )

    def events(self, label: int, seeds: list[int], settings: EventSettings) -> list[list[Event]]:
        """Single events for each seed, the most prominent first; none if its first `MAX_WINDOWS` windows have none."""
        rate, max_s = self.geometry.sample_rate_hz, MAX_WINDOWS * self.geometry.window_s
        pools = [EventPool(rate, max_s=max_s, settings=settings) for _ in seeds]
        num_windows = 0
        while not all(pool.is_enough for pool in pools):
            windows = range(num_windows, num_windows + WINDOWS_AT_ONCE)
            sound = self.windows(label, [(seed, label, window) for seed in seeds for window in windows])
            for pool, part in zip(pools, np.split(sound, len(seeds)), strict=True):
                if not pool.is_enough:  # the events of a seed do not depend on the other seeds
                    for window in part:
                        pool.add(window)
            num_windows += WINDOWS_AT_ONCE
        return [pool.best() for pool in pools]

    def from_real(self) -> Mapping[str, FromReal]:
        """Ways to make sounds from real ones, by the row of an evaluation."""
        return {}

    def codes(self, waveform: Tensor) -> dict[str, Tensor]:
        """The inputs of its models for waveforms (batch, samples), by name."""
        return {}
