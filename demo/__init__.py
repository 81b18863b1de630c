"""A small data set of drawn animals and synthesised sounds, in two classes."""

from dataclasses import dataclass

import numpy as np

LABELS = ("cat", "dog")
PATTERNS = ("plain", "stripes", "spots", "patch", "blaze")
POSES = ("head", "sitting", "lying")

Colour = tuple[int, int, int]
FURS: dict[str, Colour] = {
    "ginger": (226, 142, 66),
    "grey": (150, 152, 160),
    "black": (66, 62, 66),
    "brown": (132, 88, 56),
    "cream": (232, 206, 160),
    "white": (240, 236, 228),
    "fawn": (188, 150, 108),
    "slate": (98, 108, 126),
}
EYES: tuple[Colour, ...] = ((150, 190, 70), (226, 178, 50), (110, 170, 210), (150, 96, 50))


@dataclass(frozen=True)
class Animal:
    """A cat or a dog: its appearance, and its position and pose in the picture.

    Why: a photo shows one animal, and a video shows the same one moving (`dataclasses.replace`).
    """

    label: str  # 'cat' or 'dog'
    fur: Colour
    marking: Colour
    eyes: Colour
    pattern: str  # shape of the marking, one of `PATTERNS`
    pose: str  # one of `POSES`; 'head' leaves the body out
    x: float  # centre of the head, 0 (left) to 1 (right)
    y: float  # centre of the head, 0 (top) to 1 (bottom)
    scale: float  # radius of the head as a fraction of the picture's shorter side
    tilt_rad: float  # rotation of the head, clockwise
    yaw: float  # turn of the face, -1 (to the left) to 1 (to the right)
    stretch: float  # width of the head over its usual width
    ear_length: float  # length of the ears over their usual length
    ear_spread: float  # -1 (ears close together) to 1 (far apart)
    fluff: float  # raggedness of the fur's edge, 0 (smooth) to 0.05
    eye_opening: float  # 0 (closed) to 1 (wide open)
    tail_side: int  # side of the tail, the lying body and the patch, -1 (left) or 1 (right)
    tongue: bool  # whether the tip of the tongue shows


def sample_animal(label: str, rng: np.random.Generator) -> Animal:
    """Draws a random animal. All but its shape has the same distribution for both labels.

    Raises:
        ValueError: if the label is neither 'cat' nor 'dog'.
    """
    check_label(label)
    fur, marking = rng.permutation(list(FURS.values()))[:2] + rng.normal(0, 7, (2, 3))
    pose = str(rng.choice(POSES))
    tail_side = int(rng.choice((-1, 1)))
    return Animal(
        label=label,
        fur=as_colour(fur),
        marking=as_colour(marking),
        eyes=EYES[rng.integers(len(EYES))],
        pattern=str(rng.choice(PATTERNS)),
        pose=pose,
        x=rng.uniform(0.4, 0.6) - (0.14 * tail_side if pose == "lying" else 0),
        y=rng.uniform(0.46, 0.56) - (0.1 if pose == "sitting" else 0),
        scale=rng.uniform(0.25, 0.36) if pose == "head" else rng.uniform(0.18, 0.25),
        tilt_rad=rng.normal(0, 0.15),
        yaw=rng.uniform(-1, 1),
        stretch=rng.uniform(0.9, 1.12),
        ear_length=rng.uniform(0.8, 1.25),
        ear_spread=rng.uniform(-1, 1),
        fluff=rng.uniform(0, 0.05),
        eye_opening=rng.uniform(0.6, 1) if rng.random() < 0.93 else 0.0,
        tail_side=tail_side,
        tongue=bool(rng.random() < 0.4),
    )


def as_colour(values: np.ndarray) -> Colour:
    """Rounds and clips red, green and blue to 0..255."""
    return tuple(np.clip(np.rint(values), 0, 255).astype(int).tolist())


def check_label(label: str) -> None:
    """Raises ValueError if the label is neither 'cat' nor 'dog'."""
    if label not in LABELS:
        raise ValueError(f"label is {label!r}, expected one of {LABELS}.")
