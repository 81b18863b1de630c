"""A short silent film for the demo: a cat meows and leaves, and a dog barks."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
from PIL import Image

from demo import LABELS, Animal, sample_animal
from demo.dataset import write_once
from demo.photos import draw, sample_background

SCENE_S, PAUSE_S = 3.0, 0.5
CRIES_A_S = {"cat": 0.8, "dog": 1.6}
FIRST_CRY_S = 0.4
OPENING_S, OPEN_S, CLOSING_S = 0.06, 0.2, 0.12  # of the mouth


def make_video(path: Path, seed: int = 1, frames_per_second: int = 25, size: tuple[int, int] = (320, 240)) -> None:
    """Writes a silent H.264 mp4: 3 s of a cat, 0.5 s of the empty room, 3 s of a dog. An existing file is left alone.

    Why: the demo needs a video with two scenes whose classes a classifier trained on `draw_photo` recognises.

    Args:
        path: file to be written.
        seed: number that the animals and the room are drawn from.
        frames_per_second: frames of the video in a second.
        size: size of the picture, (width, height) in pixels, both even.

    Raises:
        ValueError: if the width or the height is odd, which yuv420p cannot hold.
    """
    if size[0] % 2 or size[1] % 2:
        raise ValueError(f"size is {size}, expected an even width and an even height.")
    frames = _draw_frames(np.random.default_rng(seed), frames_per_second, size)
    write_once(path, write_video, frames, frames_per_second, size)


def write_video(path: Path, frames: Iterable[Image.Image], frames_per_second: int, size: tuple[int, int]) -> None:
    """Writes frames of one even size as a silent H.264 mp4."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=frames_per_second, width=size[0], height=size[1])
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_image(frame)))
        container.mux(stream.encode())


def _draw_frames(rng: np.random.Generator, frames_per_second: int, size: tuple[int, int]) -> Iterator[Image.Image]:
    room = sample_background(rng, size)
    for label, pause_s in zip(LABELS, (0, PAUSE_S), strict=True):
        yield from [room] * round(pause_s * frames_per_second)
        animal = replace(sample_animal(label, rng), pose="sitting", x=0.5, y=0.42, scale=0.22, tilt_rad=0.0)
        for time_s in np.arange(round(SCENE_S * frames_per_second)) / frames_per_second:
            mouth_open = _open_mouth(time_s, 1 / CRIES_A_S[label])
            yield draw(_move(animal, time_s, mouth_open), room, size, mouth_open)


def _open_mouth(time_s: float, period_s: float) -> float:
    """Opens the mouth, from 0 to 1, fast at the start of each cry, and closes it more slowly."""
    since_s = (time_s - FIRST_CRY_S) % period_s if time_s >= FIRST_CRY_S else 0.0
    return float(np.interp(since_s, np.cumsum([0, OPENING_S, OPEN_S, CLOSING_S]), [0, 1, 1, 0]))


def _move(animal: Animal, time_s: float, mouth_open: float) -> Animal:
    """Sways, turns and lifts the head a little with each cry, and blinks every 1.7 s."""
    return replace(
        animal,
        x=animal.x + 0.03 * np.sin(1.3 * time_s),
        y=animal.y - 0.015 * mouth_open,
        tilt_rad=0.12 * np.sin(2.1 * time_s),
        yaw=0.7 * np.sin(1.6 * time_s),
        eye_opening=0.0 if 1.2 < time_s % 1.7 < 1.32 else 1 - 0.4 * mouth_open,
    )
