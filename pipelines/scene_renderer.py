"""The sound of one scene after another."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import soundfile

from media.sound.ambience import Ambience
from media.sound.events import Event, EventSettings
from media.soundtrack.arranging import ArrangingSettings, arrange, leave_time, plan_events
from media.video.activity import Activity
from media.video.scenes import Scene
from pipelines.generator import Generator, Seed
from pipelines.video_output import VariantSound
from runtime.tell import tell

AMBIENCE, EVENTS = 1, 2  # parts of seeds, besides the numbers of the scenes


class SceneSound:
    """Makes the sound of scenes in order of time, for several variants at once.

    Args:
        generator: source of the sound.
        seeds: seed of each variant.
        activity: events are placed at its onsets; None makes all sound continuous.
        fade_s: seconds of the fade at both ends of a scene, so that no sound crosses a cut.
        ambience_db: level of noise in place of silence; None for silence.
        event_settings, arranging: how events are cut out of sound and placed.

    Attributes:
        placed_s: start and end in seconds of each placed event, for each variant.
    """

    def __init__(
        self,
        generator: Generator,
        seeds: list[int],
        activity: Activity | None,
        fade_s: float,
        ambience_db: float | None,
        event_settings: EventSettings = EventSettings(),  # noqa: B008 - frozen
        arranging: ArrangingSettings = ArrangingSettings(),  # noqa: B008 - frozen
    ) -> None:
        self.event_settings, self.arranging = event_settings, arranging
        self.generator, self.seeds, self.activity, self.fade_s = generator, seeds, activity, fade_s
        self.rate = generator.geometry.sample_rate_hz
        self.placed_s: list[list[tuple[float, float]]] = [[] for _ in seeds]
        self._events: dict[int, list[list[Event]]] = {}
        self._ambiences = [
            Ambience(ambience_db, np.random.default_rng([seed, AMBIENCE])) for seed in seeds if ambience_db is not None
        ]

    def write(self, scenes: list[Scene], duration_s: float, folder: Path) -> list[VariantSound]:
        """Writes the sound of all scenes, up to `duration_s`, to a file of each variant in `folder`."""
        paths = [folder / f"{seed}.wav" for seed in self.seeds]
        with ExitStack() as files:
            opened = (soundfile.SoundFile(path, "w", self.rate, channels=1, subtype="FLOAT") for path in paths)
            stems = [files.enter_context(stem) for stem in opened]
            for number, scene in enumerate(scenes):
                start, end = round(scene.start_s * self.rate), round(min(scene.end_s, duration_s) * self.rate)
                for variant, samples in self.pieces(number, scene, start, end - start):
                    stems[variant].write(samples)
        return [VariantSound(*variant) for variant in zip(self.seeds, paths, self.placed_s, strict=True)]

    def pieces(self, number: int, scene: Scene, start: int, num_samples: int) -> Iterator[tuple[int, np.ndarray]]:
        """Numbers of variants with their next samples, until each variant has the whole scene.

        Args:
            number: number of the scene.
            scene: the scene with its class.
            start: first sample of the scene in the clip.
            num_samples: samples of the scene.
        """
        variants = range(len(self.seeds))
        if num_samples <= 0:
            return
        if scene.label is None:
            for variant in variants:
                yield from ((variant, piece) for piece in self._fade(self._quiet(variant, num_samples), num_samples))
            return
        onsets_s, strengths = self._onsets(start, num_samples)
        events = self._events_of(scene.label) if len(onsets_s) else [[] for _ in variants]
        if self.activity is not None and not all(events):
            why = "its sound has no single events" if len(onsets_s) else "nothing sudden happens"
            tell(f"{scene.start_s:.2f} to {scene.end_s:.2f} s: {why}, so the sound is continuous")
        for variant in variants:
            if events[variant]:
                seed = np.random.SeedSequence([self.seeds[variant], EVENTS, number]).generate_state(1)[0]
                length = num_samples, self.rate
                plan = plan_events(events[variant], onsets_s, strengths, *length, int(seed), self.arranging)
                spans = [(start + placed.start_sample, start + placed.end_sample) for placed in plan]
                self.placed_s[variant] += [(first / self.rate, last / self.rate) for first, last in spans]
                blocks = arrange(events[variant], plan, *length, self.arranging)
                yield from ((variant, block) for block in blocks)
        if continuous := [variant for variant in variants if not events[variant]]:
            seeds: list[Seed] = [(self.seeds[variant], number) for variant in continuous]
            for piece in self._fade(self.generator.sound(scene.label, seeds, num_samples), num_samples):
                yield from zip(continuous, piece, strict=True)

    def _onsets(self, start: int, num_samples: int) -> tuple[np.ndarray, np.ndarray]:
        """Seconds from the start of the scene and strengths of its onsets that leave time for an event."""
        if self.activity is None:
            return np.zeros(0), np.zeros(0)
        onsets_s = self.activity.onsets_s - start / self.rate
        is_inside = leave_time(onsets_s, num_samples / self.rate, self.arranging)
        return onsets_s[is_inside], self.activity.strengths[is_inside]

    def _events_of(self, label: int) -> list[list[Event]]:
        if label not in self._events:
            self._events[label] = self.generator.events(label, self.seeds, self.event_settings)
        return self._events[label]

    def _quiet(self, variant: int, num_samples: int) -> Iterator[np.ndarray]:
        for start in range(0, num_samples, self.rate):
            length = min(self.rate, num_samples - start)
            yield self._ambiences[variant].noise(length) if self._ambiences else np.zeros(length, np.float32)

    def _fade(self, pieces: Iterable[np.ndarray], num_samples: int) -> Iterator[np.ndarray]:
        """Fades pieces (..., samples) of a scene in at its start and out at its end."""
        num_faded = min(round(self.fade_s * self.rate), num_samples // 2)
        start = 0
        for piece in pieces:
            places = np.arange(start, start + piece.shape[-1])
            to_an_end = np.minimum(places, num_samples - 1 - places)
            yield piece * np.clip(to_an_end / (num_faded - 1), 0, 1).astype(np.float32) if num_faded > 1 else piece
            start += piece.shape[-1]
