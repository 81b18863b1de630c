"""`python -m demo.contacts FOLDER`: writes drawn films whose sound comes when something strikes, lands, claps or opens.

They teach when a movement is heard. The same seed always gives the same film.
"""

import tempfile
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from rich.progress import track
from scipy.ndimage import gaussian_filter

from demo.contact_things import SHAPES, Draw, bounce, open_and_close, sample_colour, sample_distraction, strike
from demo.dataset import write_once
from demo.video import write_video
from media.soundtrack.mux import mux_sound
from runtime.exit_codes import end_in_words

SIZE = (128, 96)
KINDS = ("stick", "ball", "hands", "mouth")
SOUND_HZ = 48_000
EXPOSURES = 3  # drawings of which a frame is the mean, as things blur while they move


@dataclass(frozen=True)
class ContactFilm:
    """A film and its events."""

    seed: int
    kind: str  # of `KINDS`
    duration_s: float
    frames_per_second: int
    events_s: np.ndarray  # (events,)
    strengths: np.ndarray  # (events,) in (0, 1]


def main(args: Sequence[str] | None = None) -> None:
    """Writes `videos/<kind>/<seed>.mp4` below the folder; existing files are left alone."""
    parser = ArgumentParser("python -m demo.contacts", description=__doc__.partition(": ")[2].partition("\n")[0])
    parser.add_argument("folder", type=Path, help="data root")
    parser.add_argument("--num_films", type=int, default=400, help="films that are written, of all kinds")
    parser.add_argument("--first_seed", type=int, default=100, help="seed of the first film")
    options = parser.parse_args(args)
    for seed in track(range(options.first_seed, options.first_seed + options.num_films), description="films"):
        film = sample_contacts(seed)
        write_once(options.folder / "videos" / film.kind / f"{seed:05d}.mp4", write_film, film)


def sample_contacts(seed: int) -> ContactFilm:
    """Samples a film of 6 to 10 s; successive seeds take the kinds in turn."""
    return _Scene(seed).film


def draw_frames(film: ContactFilm) -> Iterator[np.ndarray]:
    """Draws the frames, uint8 (96, 128, 3)."""
    scene = _Scene(film.seed)
    return map(scene.draw, range(round(film.duration_s * film.frames_per_second)))


def write_film(path: Path, film: ContactFilm) -> None:
    """Writes a film with its sound, as H.264 and AAC."""
    with tempfile.TemporaryDirectory() as folder:
        silent = Path(folder) / "silent.mp4"
        write_video(silent, map(Image.fromarray, draw_frames(film)), film.frames_per_second, SIZE)
        mux_sound(silent, [make_sound(film, SOUND_HZ)[np.newaxis].astype(np.float32)], SOUND_HZ, path)


def make_sound(film: ContactFilm, sample_rate_hz: int) -> np.ndarray:
    """Makes a knock, a clap or a call at each event, in quiet noise: (samples,) in [-1, 1]."""
    rng = np.random.default_rng([film.seed, 3])
    num_samples = round(film.duration_s * sample_rate_hz)
    sound = 10 ** rng.uniform(-4, -2.5) * rng.normal(size=num_samples)
    decay_s = rng.uniform(0.1, 0.3) if film.kind == "mouth" else rng.uniform(0.02, 0.12)
    times_s = np.arange(round(4 * decay_s * sample_rate_hz)) / sample_rate_hz
    tones = np.sin(2 * np.pi * np.outer(rng.uniform(200, 3000, 4), times_s)).sum(axis=0) / 4
    for event_s, strength in zip(film.events_s, film.strengths, strict=True):
        burst = strength * np.exp(-times_s / decay_s) * (tones + rng.normal(0, 0.5, len(times_s)))
        start = round(event_s * sample_rate_hz)
        sound[start : start + len(burst)] += 0.25 * burst[: max(0, num_samples - start)]
    return sound.clip(-1, 1)


class _Scene:
    """Things that move, before a background and a camera that may shake."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng([seed, 0])
        kind = KINDS[seed % len(KINDS)]
        duration_s = round(rng.uniform(6, 10), 1)
        self.background = _sample_background(rng)
        motion = {"ball": bounce, "mouth": open_and_close}.get(kind, strike)(rng, duration_s)
        self.things: list[Draw] = [sample_distraction(rng, duration_s) for _ in range(rng.integers(0, 3))]
        self.things.append(SHAPES[kind](rng, motion))
        if rng.random() < 0.3:
            self.things.append(sample_distraction(rng, duration_s))
        is_shaken = rng.random() < 0.4
        self.shake = rng.uniform(0.3, 2.0) * is_shaken
        self.shake_hz, self.shake_phase = rng.uniform(0.3, 4, (3, 2)), rng.uniform(0, 6.3, (3, 2))
        self.noise, self.seed = rng.uniform(0.5, 5), seed
        self.exposure = rng.uniform(0.2, 0.9)  # part of the time between frames
        rate = int(rng.choice([15, 20, 25, 30]))
        strengths = rng.uniform(0.4, 1, len(motion.events_s))
        self.film = ContactFilm(seed, kind, duration_s, rate, motion.events_s, strengths)

    def draw(self, number: int) -> np.ndarray:
        """Draws a frame as it is exposed."""
        levels = np.zeros((SIZE[1], SIZE[0], 3))
        for part in range(EXPOSURES):
            time_s = (number + self.exposure * (part / (EXPOSURES - 1) - 1)) / self.film.frames_per_second
            x, y = self.shake * np.sin(2 * np.pi * self.shake_hz * time_s + self.shake_phase).mean(axis=0)
            picture = self.background.transform(SIZE, Image.Transform.AFFINE, (1, 0, 16 - x, 0, 1, 16 - y))
            draw = ImageDraw.Draw(picture)
            for thing in self.things:
                thing(draw, time_s, (x, y))
            levels += np.asarray(picture, float) / EXPOSURES
        rng = np.random.default_rng([self.seed, 1, number])
        return (levels + rng.normal(0, self.noise, levels.shape)).round().clip(0, 255).astype(np.uint8)


def _sample_background(rng: np.random.Generator) -> Image.Image:
    width, height = SIZE[0] + 32, SIZE[1] + 32
    levels = np.zeros((height, width, 3))
    for sigma in (20, 5, 1.2):
        texture = gaussian_filter(rng.normal(size=(height, width, 3)), (sigma, sigma, 0))
        levels += rng.uniform(3, 30) * texture / texture.std()
    picture = Image.fromarray((levels + rng.uniform(40, 200, 3)).clip(0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(picture)
    for _ in range(rng.integers(0, 6)):
        left, top = rng.uniform(0, width), rng.uniform(0, height)
        draw.rectangle((left, top, left + rng.uniform(8, 70), top + rng.uniform(8, 60)), fill=sample_colour(rng))
    return picture


if __name__ == "__main__":
    end_in_words(main)
