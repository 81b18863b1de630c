"""The sound of one scene after the other."""

from collections.abc import Iterable, Iterator

import numpy as np

from media.sound.ambience import Ambience
from media.sound.events import Event, EventSettings
from media.soundtrack.arranging import ArrangingSettings, arrange, leave_time, plan_events
from media.video.activity import Activity
from media.video.scenes import Scene
from pipelines.generator import Generator
from runtime.tell import tell

AMBIENCE, EVENTS = 1, 2  # sources of chance beside the scenes' own


class SceneSound:
    """Lays out the sound of scenes, which come in order of time, for several variants at once.

    Args:
        generator: makes the sound.
        seeds: seed of each variant.
        activity: events are placed at its onsets; None lets all sound run on.
        fade_s: length of the fade at both ends of a scene, so that nothing is heard over a cut.
        ambience_db: see `VideoToAudio`.
        event_settings: how events are cut out of generated sound.
        arranging: how they are placed.

    Attributes:
        placed_s: for each variant, start and end in seconds of every event that was placed.
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

    def pieces(self, number: int, scene: Scene, start: int, num_samples: int) -> Iterator[tuple[int, np.ndarray]]:
        """Number of a variant and its next samples, until each variant has all of the scene's.

        Args:
            number: of the scene.
            scene: tells the class.
            start: first sample of the scene, from the beginning of the clip.
            num_samples: of the scene.
        """
        variants = range(len(self.seeds))
        if num_samples <= 0:
            return
        if scene.label is None:
            for variant in variants:
                yield from ((variant, piece) for piece in self._faded(self._quiet(variant, num_samples), num_samples))
            return
        onsets_s, strengths = self._onsets(start, num_samples)
        events = self._events_of(scene.label) if len(onsets_s) else [[] for _ in variants]
        if self.activity is not None and not all(events):
            why = "its sound has no single events" if len(onsets_s) else "nothing sudden happens"
            tell(f"{scene.start_s:.2f} to {scene.end_s:.2f} s: {why}, so the sound runs on")
        for variant in variants:
            if events[variant]:
                seed = np.random.SeedSequence([self.seeds[variant], EVENTS, number]).generate_state(1)[0]
                plan = plan_events(
                    events[variant], onsets_s, strengths, num_samples, self.rate, int(seed), self.arranging
                )
                self.placed_s[variant] += [
                    ((start + placed.start_sample) / self.rate, (start + placed.end_sample) / self.rate)
                    for placed in plan
                ]
                yield from (
                    (variant, block) for block in arrange(events[variant], plan, num_samples, self.rate, self.arranging)
                )
        if running_on := [variant for variant in variants if not events[variant]]:
            sound = self.generator.sound(
                scene.label, [(self.seeds[variant], number) for variant in running_on], num_samples
            )
            for piece in self._faded(sound, num_samples):
                yield from zip(running_on, piece, strict=True)

    def _onsets(self, start: int, num_samples: int) -> tuple[np.ndarray, np.ndarray]:
        """Seconds from the start of the scene, and strengths, of the onsets in it that leave time for an event."""
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

    def _faded(self, pieces: Iterable[np.ndarray], num_samples: int) -> Iterator[np.ndarray]:
        """Pieces (..., samples) of a scene, faded in at its start and out at its end."""
        num_faded = min(round(self.fade_s * self.rate), num_samples // 2)
        start = 0
        for piece in pieces:
            places = np.arange(start, start + piece.shape[-1])
            to_an_end = np.minimum(places, num_samples - 1 - places)
            yield piece * np.clip(to_an_end / (num_faded - 1), 0, 1).astype(np.float32) if num_faded > 1 else piece
            start += piece.shape[-1]
