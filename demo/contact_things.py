"""Things of `demo/contacts.py`, and how they move until something is heard."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import ImageDraw

Draw = Callable[[ImageDraw.ImageDraw, float, tuple[float, float]], None]  # at a time, with an offset in pixels


@dataclass(frozen=True)
class Motion:
    """A height over time, 0 at contact, in [0, 1]; between two key times it eases in one of the ways of `value`."""

    times_s: np.ndarray  # (keys,)
    values: np.ndarray  # (keys,)
    easings: tuple[str, ...]  # (keys - 1,)
    events_s: np.ndarray  # (events,) times of contact, or for a mouth those at which it starts to open

    def value(self, time_s: float) -> float:
        """Height at a time."""
        key = int(np.clip(np.searchsorted(self.times_s, time_s, "right") - 1, 0, len(self.easings) - 1))
        start_s, end_s = self.times_s[key : key + 2]
        part = float(np.clip((time_s - start_s) / max(end_s - start_s, 1e-6), 0, 1))
        eased = {"fall": part**2, "rise": 1 - (1 - part) ** 2, "smooth": part * part * (3 - 2 * part)}
        return float(self.values[key] + (self.values[key + 1] - self.values[key]) * eased[self.easings[key]])


def strike(rng: np.random.Generator, duration_s: float) -> Motion:
    """Strokes that end in contact, at once or after a rest, and some that stop in the air."""
    keys, events_s, time_s = [(0.0, rng.uniform(0.3, 1), "smooth")], [], rng.uniform(0.1, 0.8)
    pace, misses = rng.choice([0.08, 0.3, 0.8]), rng.choice([0, 0.25])
    while time_s < duration_s:
        height, stroke_s = rng.uniform(0.35, 1), rng.uniform(0.07, 0.22)
        keys.append((time_s, height, "smooth"))
        time_s += stroke_s
        if rng.random() < misses:
            keys.append((time_s + 0.1, rng.uniform(0.15, 0.6) * height, "smooth"))
            time_s += 0.1
        else:
            keys.append((time_s, 0.0, "fall"))
            events_s.append(time_s)
            if rng.random() < 0.5:
                keys.append((time_s + rng.uniform(0.03, 0.08), rng.uniform(0.02, 0.2), "rise"))
                keys.append((keys[-1][0] + rng.uniform(0.02, 0.3), keys[-1][1], "smooth"))
            time_s = keys[-1][0]
        time_s += rng.uniform(0.08, 0.25) + rng.exponential(pace)
    return _motion(keys, events_s, duration_s)


def bounce(rng: np.random.Generator, duration_s: float) -> Motion:
    """Falls and bounces, ever lower; then something lifts the ball again."""
    keys, events_s, time_s = [(0.0, rng.uniform(0.5, 1), "smooth")], [], rng.uniform(0.1, 0.6)
    while time_s < duration_s:
        height, fall_s = rng.uniform(0.5, 1), rng.uniform(0.25, 0.5)
        keys.append((time_s, height, "smooth"))
        time_s += fall_s
        keys.append((time_s, 0.0, "fall"))
        events_s.append(time_s)
        kept = rng.choice([0.0, 0.5, 0.7, 0.85])  # part of the speed after a contact
        speed = kept
        while fall_s * speed > 0.06:
            keys.append((time_s + fall_s * speed, height * speed**2, "rise"))
            time_s += 2 * fall_s * speed
            keys.append((time_s, 0.0, "fall"))
            events_s.append(time_s)
            speed *= kept
        keys.append((time_s + rng.uniform(0.1, 0.6), 0.0, "smooth"))
        time_s = keys[-1][0] + rng.uniform(0.3, 0.8)
    return _motion(keys, events_s, duration_s)


def open_and_close(rng: np.random.Generator, duration_s: float) -> Motion:
    """Opens fast, stays open and closes."""
    keys, events_s, time_s = [(0.0, 0.0, "smooth")], [], rng.uniform(0.2, 0.8)
    while time_s < duration_s:
        events_s.append(time_s)
        keys.append((time_s, 0.0, "smooth"))
        times_s = time_s + np.cumsum(rng.uniform((0.05, 0.03, 0.08), (0.12, 0.4, 0.2)))
        height = rng.uniform(0.5, 1)
        keys += [(times_s[0], height, "rise"), (times_s[1], height, "smooth"), (times_s[2], 0.0, "smooth")]
        time_s = times_s[2] + 0.08 + rng.exponential(0.5)
    return _motion(keys, events_s, duration_s)


def _motion(keys: list[tuple[float, float, str]], events_s: list[float], duration_s: float) -> Motion:
    keys = [*keys, (max(keys[-1][0], duration_s) + 0.1, keys[-1][1], "smooth")]
    events = np.array([event_s for event_s in events_s if event_s < duration_s - 0.05])
    return Motion(
        np.array([key[0] for key in keys]), np.array([key[1] for key in keys]), tuple(k[2] for k in keys[1:]), events
    )


def sample_colour(rng: np.random.Generator) -> tuple[int, ...]:
    return tuple(rng.integers(10, 245, 3).tolist())


def _stick(rng: np.random.Generator, motion: Motion) -> Draw:
    side = rng.choice([-1, 1])
    pivot = np.array([64 - side * rng.uniform(20, 75), rng.uniform(25, 85)])
    length, swing = rng.uniform(30, 75), rng.uniform(0.4, 1.6)
    down, travel = rng.uniform(-0.4, 0.6), rng.uniform(0, 25)
    width, colour, hand = int(rng.integers(1, 6)), sample_colour(rng), sample_colour(rng)
    reach, is_hammer = rng.uniform(3, 12), rng.random() < 0.3

    def draw(on: ImageDraw.ImageDraw, time_s: float, offset: tuple[float, float]) -> None:
        height = motion.value(time_s)
        angle = down - swing * height
        start = pivot + offset - (0, travel * height)
        end = start + length * np.array([side * np.cos(angle), np.sin(angle)])
        on.line((*start, *end), fill=colour, width=width)
        if is_hammer:
            on.ellipse((*(end - width - 2), *(end + width + 2)), fill=colour)
        on.ellipse((*(start - reach), *(start + reach)), fill=hand)

    return draw


def _ball(rng: np.random.Generator, motion: Motion) -> Draw:
    x, floor, height, radius = rng.uniform(20, 108), rng.uniform(60, 92), rng.uniform(25, 70), rng.uniform(2.5, 11)
    drift, colour, is_box = rng.uniform(-4, 4), sample_colour(rng), rng.random() < 0.3

    def draw(on: ImageDraw.ImageDraw, time_s: float, offset: tuple[float, float]) -> None:
        middle = np.array([x + drift * time_s, floor - radius - height * motion.value(time_s)]) + offset
        shape = on.rectangle if is_box else on.ellipse
        shape((*(middle - radius), *(middle + radius)), fill=colour)

    return draw


def _hands(rng: np.random.Generator, motion: Motion) -> Draw:
    middle, radius = np.array([rng.uniform(35, 93), rng.uniform(25, 75)]), rng.uniform((3, 5), (9, 16))
    span, colour = rng.uniform(8, 35), sample_colour(rng)
    angle = rng.uniform(0, np.pi)
    direction = np.array([np.cos(angle), np.sin(angle)])

    def draw(on: ImageDraw.ImageDraw, time_s: float, offset: tuple[float, float]) -> None:
        for side in (-1, 1):
            centre = middle + offset + side * direction * (radius.min() + span * motion.value(time_s))
            on.ellipse((*(centre - radius), *(centre + radius)), fill=colour)

    return draw


def _mouth(rng: np.random.Generator, motion: Motion) -> Draw:
    middle, radius = np.array([rng.uniform(35, 93), rng.uniform(30, 65)]), rng.uniform(12, 34)
    colour, dark = sample_colour(rng), tuple(rng.integers(5, 70, 3).tolist())
    nod, sway_hz, sway = rng.uniform(-0.3, 0.3), rng.uniform(0.1, 0.6, 2), rng.uniform(0, 5)

    def draw(on: ImageDraw.ImageDraw, time_s: float, offset: tuple[float, float]) -> None:
        opening = motion.value(time_s)
        centre = middle + offset + sway * np.sin(6.28 * sway_hz * time_s) + (0, nod * radius * opening)
        on.ellipse((*(centre - radius), *(centre + radius)), fill=colour)
        for side in (-0.4, 0.4):
            eye = centre + radius * np.array([side, -0.3])
            on.ellipse((*(eye - 0.12 * radius), *(eye + 0.12 * radius)), fill=dark)
        mouth = centre + radius * np.array([0, 0.35])
        wide, high = 0.4 * radius, (0.05 + 0.3 * opening) * radius
        on.ellipse((mouth[0] - wide, mouth[1] - 0.3 * high, mouth[0] + wide, mouth[1] + 1.7 * high), fill=dark)

    return draw


SHAPES: dict[str, Callable[[np.random.Generator, Motion], Draw]] = {
    "stick": _stick,
    "ball": _ball,
    "hands": _hands,
    "mouth": _mouth,
}


def sample_distraction(rng: np.random.Generator, duration_s: float) -> Draw:
    """A thing that waves without a contact: its heights ease smoothly and never stop suddenly."""
    steps_s = rng.uniform(0.3, 2.5) * rng.uniform(0.6, 1.4, 60)
    keys = [(time_s, rng.uniform(0.2, 1), "smooth") for time_s in np.cumsum(steps_s) if time_s < duration_s]
    motion = _motion([(0.0, 0.5, "smooth"), *keys], [], duration_s)
    return SHAPES[str(rng.choice(["stick", "ball", "hands"]))](rng, motion)
