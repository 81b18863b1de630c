"""Drawn videos in which an animal opens its mouth at known times, among distractions.

A `Film` lists the events, and `frames` draws them. The same seed always gives the same film and the same frames.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

from demo.video import write_video

SIZE = (192, 108)
DISTRACTIONS = ("shake", "flicker", "cuts", "second thing", "noise", "zoom and pan")
REGION_SHAPE = (7, 7)
MIN_GAP_S = 0.35
_SCENE_SIZE = (480, 270)  # twice as fine as the frame, and a quarter wider
_SCALE = 2.0


@dataclass(frozen=True)
class Shot:
    """The scene between two cuts, with positions and the radius of the head in pixels of the scene."""

    start_s: float
    background: np.ndarray
    centre: tuple[float, float]
    radius: float
    fur: tuple[int, int, int]


@dataclass(frozen=True)
class Film:
    """The events, distractions and shots of a film."""

    seed: int
    frames_per_second: int
    duration_s: float  # 6 to 10
    distractions: frozenset[str]  # a subset of `DISTRACTIONS`
    events_s: np.ndarray  # (events,) times at which the mouth starts to open
    openings: np.ndarray  # (events, 3) seconds until the mouth is open, until it starts to close, and of the closing
    shots: tuple[Shot, ...]  # one more than there are cuts

    @property
    def cuts_s(self) -> np.ndarray:
        return np.array([shot.start_s for shot in self.shots[1:]])


def sample_film(seed: int, distractions: frozenset[str] | None = None, frames_per_second: int | None = None) -> Film:
    """Draws a film of 6 to 10 s.

    Args:
        seed: seed of everything that is drawn.
        distractions: subset of `DISTRACTIONS`. None takes them in turn, one for each seed and none for every seventh,
            and adds each other one with a probability of a quarter.
        frames_per_second: frame rate; None draws 15, 25, 30 or 60.
    """
    rng = np.random.default_rng([seed, 0])
    counted = seed % (len(DISTRACTIONS) + 1)
    drawn = frozenset(name for i, name in enumerate(DISTRACTIONS) if (rng.random() < 0.25) | (i == counted))
    distractions = drawn if distractions is None else distractions
    rate = int(rng.choice([15, 25, 30, 60]))
    duration_s = round(rng.uniform(6, 10), 1)
    num_cuts = int(rng.integers(1, 4)) if "cuts" in distractions else 0
    cuts_s = (np.arange(num_cuts) + rng.uniform(0.6, 1.4, num_cuts)) * duration_s / (num_cuts + 1)
    times_s = np.cumsum(MIN_GAP_S + rng.exponential(0.5, 60))
    far_from_cuts = np.array([all(abs(time_s - cut_s) > 0.5 for cut_s in cuts_s) for time_s in times_s])
    events_s = times_s[far_from_cuts & (times_s < duration_s - 0.6)]
    gaps_s = np.diff(events_s, append=duration_s + 1)
    opening_s, closing_s = rng.uniform(0.06, 0.12, len(events_s)), rng.uniform(0.08, 0.14, len(events_s))
    open_s = np.minimum(rng.uniform(0.15, 0.4, len(events_s)), gaps_s - closing_s - 0.04)
    return Film(
        seed=seed,
        frames_per_second=rate if frames_per_second is None else frames_per_second,
        duration_s=duration_s,
        distractions=distractions,
        events_s=events_s,
        openings=np.stack([opening_s, open_s, closing_s], axis=1),
        shots=tuple(_sample_shot(rng, start_s) for start_s in (0.0, *cuts_s)),
    )


def without_animal_motion(film: Film) -> Film:
    """The same film without events, only with its distractions."""
    return replace(film, events_s=film.events_s[:0], openings=film.openings[:0])


def frames(film: Film, grid_hz: float | None = None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Draws the film.

    Args:
        film: film to draw.
        grid_hz: rate at which frames are repeated or skipped, as in `media.video.video_files.read_frames`; None for the
            film's own frames. A repeated frame is the same array.

    Yields:
        Frame, uint8 (108, 192, 3), and region, float (7, 7) in [0, 1]: the animal's approximate box, as a class
        activation map shows it, updated four times a second.
    """
    camera, rate = _Camera(film), grid_hz or film.frames_per_second
    shown, region_age = None, None
    for index in range(round(film.duration_s * rate)):
        number = int(index / rate * film.frames_per_second + 1e-6)
        if number != shown:
            frame, box = camera.shoot(number)
            shown = number
        if region_age != (region_age := int(index / rate * 4)):
            region = _blurred_box(box)
        yield frame, region


def write_film(film: Film, path: Path) -> None:
    """Writes the film's own frames as H.264."""
    write_video(path, (Image.fromarray(frame) for frame, _ in frames(film)), film.frames_per_second, SIZE)


class _Camera:
    def __init__(self, film: Film) -> None:
        rng = np.random.default_rng([film.seed, 1])
        self.film = film
        self.sway_hz, self.sway_phase = rng.uniform(0.15, 0.4, 2), rng.uniform(0, 2 * np.pi, 2)
        self.shake_hz, self.shake_phase = rng.uniform(2, 7, (4, 2)), rng.uniform(0, 2 * np.pi, (4, 2))
        self.shake = rng.uniform(0.8, 2.5)
        self.jolts_s = np.cumsum(rng.exponential(1.5, 20))
        self.jolts = rng.normal(0, 6, (20, 2))
        self.flicker_hz, self.flicker = rng.uniform(2, 12), rng.uniform(0.06, 0.15)
        self.flashes_s = np.cumsum(rng.uniform(1.5, 4, 8))
        self.noise = rng.uniform(5, 11)
        self.zoom, self.pan = rng.uniform(-0.03, 0.03), rng.uniform(-12, 12, 2)
        self.thing_hz, self.thing_phase = rng.uniform(0.08, 0.22, 2), rng.uniform(0, 2 * np.pi, 2)
        self.thing_radius, self.thing_colour = rng.uniform(18, 36), tuple(rng.integers(20, 235, 3).tolist())

    def shoot(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Draws a frame, and gives the head's [left, top, right, bottom] as fractions of its sides."""
        film, time_s = self.film, number / self.film.frames_per_second
        shot = [shot for shot in film.shots if shot.start_s <= time_s + 1e-6][-1]
        scene = Image.fromarray(shot.background)
        sway = 0.12 * shot.radius * np.sin(2 * np.pi * self.sway_hz * time_s + self.sway_phase)
        head = np.array(shot.centre) + sway
        _draw_head(ImageDraw.Draw(scene), head, shot, _mouth_opening(film, time_s))
        if "second thing" in film.distractions:
            self._draw_second_thing(ImageDraw.Draw(scene), time_s)
        corner, scale = self._view(time_s)
        matrix = (scale, 0, corner[0], 0, scale, corner[1])
        seen = scene.transform(SIZE, Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC)
        rng = np.random.default_rng([film.seed, 2, number])
        levels = np.asarray(seen, np.float32)
        if "flicker" in film.distractions:
            swing = self.flicker * np.sin(2 * np.pi * self.flicker_hz * time_s)
            levels = levels * (1 + swing + rng.normal(0, 0.04)) + rng.normal(0, 4)
            if any(0 <= time_s - flash_s < 0.07 for flash_s in self.flashes_s):
                levels = 1.7 * levels + 50
        noise = self.noise if "noise" in film.distractions else 1.0
        levels = levels + rng.normal(0, noise, levels.shape)
        edges = np.concatenate([head - shot.radius, head + shot.radius])
        box = (edges - np.tile(corner, 2)) / scale / np.tile(SIZE, 2)
        return levels.round().clip(0, 255).astype(np.uint8), box

    def _view(self, time_s: float) -> tuple[np.ndarray, float]:
        """Upper left corner of the frame in the scene, and pixels of the scene per pixel of the frame."""
        scale, middle = _SCALE, np.array(_SCENE_SIZE) / 2
        if "zoom and pan" in self.film.distractions:
            elapsed_s = time_s - self.film.duration_s / 2
            scale, middle = scale * (1 + self.zoom * elapsed_s), middle + self.pan * elapsed_s / 3
        if "shake" in self.film.distractions:
            swing = np.sin(2 * np.pi * self.shake_hz * time_s + self.shake_phase).mean(axis=0)
            since_s = time_s - self.jolts_s[:, np.newaxis]
            jolt = np.where(since_s > 0, self.jolts * np.exp(-since_s / 0.15) * np.minimum(since_s / 0.05, 1), 0).sum(0)
            middle = middle + 2 * self.shake * swing + jolt
        return middle - scale * np.array(SIZE) / 2, scale

    def _draw_second_thing(self, draw: ImageDraw.ImageDraw, time_s: float) -> None:
        x, y = np.array(_SCENE_SIZE) / 2 + (170, 80) * np.sin(2 * np.pi * self.thing_hz * time_s + self.thing_phase)
        radius = self.thing_radius
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=self.thing_colour)
        draw.ellipse((x - radius / 2, y - radius / 2, x + radius / 3, y + radius / 4), fill=(240, 240, 120))


def _sample_shot(rng: np.random.Generator, start_s: float) -> Shot:
    width, height = _SCENE_SIZE
    background = np.zeros((height, width, 3))
    for sigma, contrast in ((40, 45), (10, 25), (2.5, 14)):
        texture = gaussian_filter(rng.normal(size=(height, width, 3)), (sigma, sigma, 0))
        background += contrast * texture / texture.std()
    picture = Image.fromarray((background + rng.uniform(80, 160, 3)).clip(0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(picture)
    for _ in range(6):
        left, top = rng.uniform(0, width), rng.uniform(0, height)
        box = (left, top, left + rng.uniform(20, 110), top + rng.uniform(20, 90))
        draw.rectangle(box, fill=tuple(rng.integers(20, 235, 3).tolist()))
    radius = rng.uniform(38, 62)
    centre = rng.uniform((130, 100), (width - 130, height - 110))
    fur = tuple(rng.integers(90, 225, 3).tolist())
    return Shot(start_s, np.asarray(picture), (float(centre[0]), float(centre[1])), radius, fur)


def _mouth_opening(film: Film, time_s: float) -> float:
    since_s = time_s - film.events_s
    opening_s, open_s, closing_s = film.openings.T
    return float(np.clip(np.minimum(since_s / opening_s, 1 - (since_s - open_s) / closing_s), 0, 1).max(initial=0))


def _draw_head(draw: ImageDraw.ImageDraw, centre: np.ndarray, shot: Shot, mouth_opening: float) -> None:
    (x, y), r = centre, shot.radius
    dark = tuple(level * 2 // 3 for level in shot.fur)
    for side in (-1, 1):
        corners = ((0.9, -1.25), (0.2, -0.7), (0.95, -0.2))
        draw.polygon([(x + side * right * r, y + down * r) for right, down in corners], fill=dark)
    draw.ellipse((x - r, y - 0.9 * r, x + r, y + 0.9 * r), fill=shot.fur)
    for side in (-1, 1):
        eye_x, eye_y = x + side * 0.4 * r, y - 0.25 * r
        draw.ellipse((eye_x - 0.13 * r, eye_y - 0.13 * r, eye_x + 0.13 * r, eye_y + 0.13 * r), fill=(20, 20, 20))
    draw.ellipse((x - 0.14 * r, y, x + 0.14 * r, y + 0.18 * r), fill=(40, 25, 30))
    height = (0.04 + 0.4 * mouth_opening) * r
    draw.ellipse((x - 0.38 * r, y + 0.3 * r, x + 0.38 * r, y + 0.3 * r + height), fill=(60, 15, 20))
    if mouth_opening > 0.4:
        draw.ellipse((x - 0.2 * r, y + 0.3 * r + 0.55 * height, x + 0.2 * r, y + 0.3 * r + height), fill=(200, 90, 100))


def _blurred_box(box: np.ndarray) -> np.ndarray:
    left, top, right, bottom = box
    covered = [
        np.clip(np.minimum(end * count, np.arange(count) + 1) - np.maximum(start * count, np.arange(count)), 0, 1)
        for start, end, count in ((top, bottom, REGION_SHAPE[0]), (left, right, REGION_SHAPE[1]))
    ]
    region = gaussian_filter(np.outer(*covered), 0.7)
    return region / max(region.max(), 1e-6)
