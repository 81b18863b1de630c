"""Drawn cats and dogs, for the photos of the data set and the frames of the demo video."""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from demo import Animal, Colour, as_colour, sample_animal

SUPERSAMPLING = 2
WHITE: Colour = (250, 246, 240)
DARK: Colour = (38, 28, 30)
MOUTH: Colour = (122, 40, 52)
PINK: Colour = (232, 138, 146)
SPOTS = ((-0.6, 0.2, 0.12), (0.2, -0.7, 0.15), (-0.3, -0.65, 0.1), (0.7, 0.1, 0.14), (0.5, -0.5, 0.09))  # x, y, radius
Point = tuple[float, float]


def sample_background(rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """Draws a random scene of size (width, height) in pixels: soft colours, sometimes a floor, and simple shapes."""
    width, height = large = (size[0] * SUPERSAMPLING, size[1] * SUPERSAMPLING)
    rows, columns = np.mgrid[-1:1:4j, -1:1:4j][..., None]
    tiles = _muted(rng) + rows * rng.normal(0, 25) + columns * rng.normal(0, 20) + rng.normal(0, 9, (4, 4, 3))
    tiles = np.clip(tiles, 0, 255).astype(np.uint8)
    picture = Image.fromarray(tiles).resize(large, Image.Resampling.BICUBIC)
    canvas = ImageDraw.Draw(picture)
    if rng.random() < 0.5:
        canvas.rectangle((0, rng.uniform(0.55, 0.9) * height, width, height), fill=as_colour(_muted(rng)))
    for _ in range(rng.integers(0, 4)):
        circle = (rng.uniform(0, width), rng.uniform(0, height), rng.uniform(0.04, 0.18) * min(large))
        num_corners, colour = rng.choice((3, 4, 6, 32)), as_colour(_muted(rng))
        canvas.regular_polygon(circle, int(num_corners), rotation=int(rng.integers(360)), fill=colour)
    return picture.reduce(SUPERSAMPLING)


def draw(animal: Animal, background: Image.Image, size: tuple[int, int], mouth_open: float = 0.0) -> Image.Image:
    """Draws the animal in front of the background, with smooth edges and without the light and noise of a camera.

    Args:
        animal: cat or dog to draw.
        background: RGB picture, stretched to `size`.
        size: size of the picture, (width, height) in pixels.
        mouth_open: opening of the mouth, 0 (closed) to 1 (wide open).
    """
    width, height = size[0] * SUPERSAMPLING, size[1] * SUPERSAMPLING
    picture = background.resize((width, height), Image.Resampling.BILINEAR)
    canvas, unit = ImageDraw.Draw(picture), animal.scale * min(width, height)
    origin = (animal.x * width, animal.y * height)
    if animal.pose != "head":
        _draw_body(_Pen(canvas, origin, (unit, unit), 0.3 * animal.tilt_rad), animal)
    draw_head = _draw_cat_head if animal.label == "cat" else _draw_dog_head
    draw_head(_Pen(canvas, origin, (unit * animal.stretch, unit), animal.tilt_rad), animal, mouth_open)
    return picture.reduce(SUPERSAMPLING)


def draw_photo(label: str, rng: np.random.Generator, size: int = 128) -> Image.Image:
    """Draws a random photo of an animal: `size` × `size` RGB pixels, with uneven light, a little blur and noise.

    Raises:
        ValueError: if the label is neither 'cat' nor 'dog'.
    """
    animal = sample_animal(label, rng)
    background = sample_background(rng, (size, size))
    photo = draw(animal, background, (size, size), mouth_open=max(0.0, rng.uniform(-1, 1)))
    photo = photo.filter(ImageFilter.GaussianBlur(rng.uniform(0, 0.004) * size))
    rows, columns = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j][..., None]
    light = rng.uniform(0.8, 1.1) + rng.normal(0, 0.03, 3) + rng.normal(0, 0.1) * rows + rng.normal(0, 0.1) * columns
    noise = rng.normal(0, rng.uniform(1, 6), (size, size, 3))
    return Image.fromarray(np.clip(np.asarray(photo) * light + noise, 0, 255).astype(np.uint8))


class _Pen:
    """Draws in coordinates of a head with centre (0, 0) and radius 1, y downwards."""

    def __init__(self, canvas: ImageDraw.ImageDraw, origin: Point, unit: Point, angle: float) -> None:
        self.canvas, self.origin, self.unit = canvas, origin, unit
        self.matrix = np.diag(unit) @ [[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]

    def fill(self, points: object, colour: Colour) -> None:
        self.canvas.polygon((np.asarray(points) @ self.matrix + self.origin).ravel().tolist(), fill=colour)

    def stroke(self, points: object, width: float, colour: Colour) -> None:
        pixels = np.asarray(points) @ self.matrix + self.origin
        width_pixels = max(1, round(width * self.unit[1]))
        self.canvas.line(pixels.ravel().tolist(), fill=colour, width=width_pixels, joint="curve")
        for end in (pixels[0], pixels[-1]):
            self.canvas.circle(end.tolist(), width_pixels / 2, fill=colour)

    def ellipse(
        self, x: float, y: float, rx: float, ry: float, colour: Colour, turn: float = 0, fluff: float = 0
    ) -> None:
        """Fills an ellipse, rotated clockwise by `turn` radians, with an edge that is ragged by `fluff` radii."""
        angles = np.linspace(0, 2 * np.pi, 48, endpoint=False)
        radius = 1 + fluff * np.tile((1, -1), 24) * (1 + np.sin(5 * angles))
        dx, dy = rx * radius * np.cos(angles), ry * radius * np.sin(angles)
        cos, sin = np.cos(turn), np.sin(turn)
        self.fill(np.stack([x + dx * cos - dy * sin, y + dx * sin + dy * cos], axis=1), colour)


def _draw_body(pen: _Pen, animal: Animal) -> None:
    fur, side, is_cat = animal.fur, animal.tail_side, animal.label == "cat"
    shade, light = _mix(fur, DARK, 0.25), _mix(fur, WHITE, 0.4)
    along = np.linspace(0, 1, 12)
    end = (2.6, 2.6) if animal.pose == "lying" else (0.7, 3.2)
    if is_cat:  # a long tail that curls up at its end
        tail = np.stack([end[0] + 1.3 * np.sin(2.6 * along), end[1] - 2.4 * along**1.6], axis=1)
    else:
        tail = np.stack([end[0] + 0.9 * along, end[1] - 1.3 * along**1.3 - 0.3], axis=1)
    pen.stroke(tail * (side, 1), 0.3 if is_cat else 0.4, shade)
    width = 0.9 if is_cat else 1.05
    if animal.pose == "lying":
        pen.ellipse(side * 1.5, 1.75, 2.1, 1.08, shade, fluff=animal.fluff)
        pen.ellipse(side * 1.5, 1.72, 2.0, 1.0, fur, fluff=animal.fluff)
        pen.ellipse(side * 2.5, 2.1, 0.9, 0.75, shade)
        pen.ellipse(side * 2.5, 2.12, 0.82, 0.68, fur)
        marks, feet_y = [(side * (0.8 + 0.7 * i), 1.1, 0.3) for i in range(3)], 2.55
    else:
        pen.ellipse(0, 2.55, width + 0.28, 1.5, shade, fluff=animal.fluff)
        pen.ellipse(0, 2.5, width + 0.2, 1.45, fur, fluff=animal.fluff)
        pen.ellipse(0, 1.9, 0.6 * width, 1.0, light, fluff=animal.fluff)
        marks, feet_y = [(side * (0.75 - 0.05 * i), 1.9 + 0.6 * i, 0.22) for i in range(3)], 3.85
    if animal.pattern in ("stripes", "spots", "patch"):
        for x, y, radius in marks:
            pen.ellipse(x, y, radius * (0.45 if animal.pattern == "stripes" else 1), radius * 1.3, animal.marking)
    for x in (-0.45, 0.45):
        if animal.pose == "sitting":
            pen.stroke([(x, 2.4), (x, feet_y)], 0.42, shade)
            pen.stroke([(x, 2.4), (x, feet_y)], 0.34, fur)
        pen.ellipse(x - 0.05 * side, feet_y, 0.42, 0.26, shade)
        pen.ellipse(x - 0.05 * side, feet_y - 0.02, 0.37, 0.21, light)


def _draw_cat_head(pen: _Pen, animal: Animal, mouth_open: float) -> None:
    fur, yaw = animal.fur, animal.yaw
    shade, ear = _mix(fur, DARK, 0.25), _ear_colour(animal)
    for side in (-1, 1):
        tip = np.array([side * (0.82 + 0.12 * animal.ear_spread) - 0.1 * yaw, -0.75 - 0.75 * animal.ear_length])
        outer, inner = np.array([side * 1.04, -0.2]), np.array([side * 0.22, -0.8])
        pen.fill([outer, tip, inner], shade)
        middle = (outer + inner + tip) / 3
        pen.fill([point + 0.12 * (middle - point) for point in (outer, tip, inner)], ear)
        pen.fill([point + 0.38 * (middle - point) for point in (outer, tip, inner)], PINK)
    pen.ellipse(0, 0, 1.14, 0.96, shade, fluff=animal.fluff)
    pen.ellipse(0, 0, 1.08, 0.9, fur, fluff=animal.fluff)
    _draw_pattern(pen, animal, 1.05, 0.88)
    _draw_eyes(pen, animal, distance=0.45, y=-0.1, radius=0.24, pupil_width=0.3)
    x, light = 0.22 * yaw, _mix(fur, WHITE, 0.6)
    if mouth_open:
        pen.ellipse(x, 0.52 + 0.16 * mouth_open, 0.26, 0.08 + 0.3 * mouth_open, MOUTH)
        pen.ellipse(x, 0.58 + 0.3 * mouth_open, 0.16, 0.04 + 0.14 * mouth_open, PINK)
    elif animal.tongue:
        pen.ellipse(x, 0.68, 0.1, 0.12, PINK)
    for side in (-1, 1):
        pen.ellipse(x + 0.2 * side, 0.42, 0.26, 0.2, light)
        for y, drop in ((0.34, -0.16), (0.42, 0.02), (0.5, 0.2)):
            whisker = [(x + 0.3 * side, y), (x + 0.85 * side, y + 0.4 * drop), (x + 1.4 * side, y + drop)]
            pen.stroke(whisker, 0.035, WHITE if sum(fur) < 450 else shade)
    pen.fill([(x - 0.14, 0.2), (x + 0.14, 0.2), (x, 0.36)], _mix(PINK, DARK, 0.15))
    pen.stroke([(x, 0.34), (x, 0.46)], 0.04, DARK)
    for side in (-1, 1):
        pen.stroke([(x, 0.46), (x + 0.1 * side, 0.54), (x + 0.24 * side, 0.52)], 0.04, DARK)


def _draw_dog_head(pen: _Pen, animal: Animal, mouth_open: float) -> None:
    fur, yaw = animal.fur, animal.yaw
    shade, ear = _mix(fur, DARK, 0.25), _ear_colour(animal)
    pen.ellipse(0, -0.05, 0.96, 1.06, shade, fluff=animal.fluff)
    pen.ellipse(0, -0.05, 0.9, 1.0, fur, fluff=animal.fluff)
    _draw_pattern(pen, animal, 0.88, 1.0)
    for side in (-1, 1):
        x, length = side * (0.98 + 0.1 * animal.ear_spread) - 0.08 * yaw, 0.72 * animal.ear_length
        turn = -side * (0.18 + 0.16 * animal.ear_spread)
        pen.ellipse(x, length - 0.62, 0.36, length + 0.06, _mix(ear, DARK, 0.3), turn, animal.fluff)
        pen.ellipse(x, length - 0.62, 0.3, length, ear, turn, animal.fluff)
    _draw_eyes(pen, animal, distance=0.38, y=-0.28, radius=0.17, pupil_width=0.65)
    x, light = 0.26 * yaw, _mix(fur, WHITE, 0.6)
    pen.ellipse(x, 0.82 + 0.3 * mouth_open, 0.38, 0.24 + 0.12 * mouth_open, shade)
    pen.ellipse(x, 0.76 + 0.26 * mouth_open, 0.32, 0.16 + 0.2 * mouth_open, MOUTH)
    if animal.tongue or mouth_open:
        pen.ellipse(x, 0.9 + 0.3 * mouth_open, 0.18, 0.24, PINK)
    pen.ellipse(x, 0.5, 0.56, 0.44, _mix(light, DARK, 0.2))
    pen.ellipse(x, 0.48, 0.53, 0.41, light)
    pen.stroke([(x, 0.4), (x, 0.72)], 0.05, DARK)
    pen.stroke([(x - 0.34, 0.7), (x - 0.14, 0.8), (x, 0.72), (x + 0.14, 0.8), (x + 0.34, 0.7)], 0.05, DARK)
    pen.ellipse(x, 0.24, 0.25, 0.18, DARK)
    pen.ellipse(x - 0.08, 0.18, 0.07, 0.04, (150, 146, 150))


def _draw_eyes(pen: _Pen, animal: Animal, distance: float, y: float, radius: float, pupil_width: float) -> None:
    for side in (-1, 1):
        x, opening = distance * side + 0.16 * animal.yaw, radius * animal.eye_opening
        if not opening:
            pen.stroke([(x - radius, y), (x, y + 0.4 * radius), (x + radius, y)], 0.06, DARK)
            continue
        pen.ellipse(x, y, radius + 0.05, opening + 0.05, DARK)
        pen.ellipse(x, y, radius, opening, animal.eyes)
        pen.ellipse(x + 0.05 * animal.yaw, y, radius * pupil_width, opening * 0.9, DARK)
        pen.ellipse(x - 0.3 * radius, y - 0.4 * opening, 0.22 * radius, 0.22 * radius, WHITE)


def _draw_pattern(pen: _Pen, animal: Animal, rx: float, ry: float) -> None:
    """Draws the marking on a head of the given radii."""
    if animal.pattern == "stripes":
        for x in (-0.3, 0, 0.3):
            pen.fill([(x - 0.08, -0.93 * ry), (x + 0.08, -0.93 * ry), (0.7 * x, -0.5 * ry)], animal.marking)
        for side, y in ((-1, 0.1), (-1, 0.4), (1, 0.1), (1, 0.4)):
            edge = side * rx * np.sqrt(1 - y**2)
            pen.fill([(edge, y - 0.07), (edge, y + 0.07), (0.66 * edge, y)], animal.marking)
    elif animal.pattern == "spots":
        for x, y, radius in SPOTS:
            pen.ellipse(x * rx, y * ry, radius, radius, animal.marking)
    elif animal.pattern == "patch":
        pen.ellipse(0.45 * animal.tail_side * rx, -0.25 * ry, 0.42 * rx, 0.48 * ry, animal.marking)
    elif animal.pattern == "blaze":
        pen.fill([(-0.1, -0.9 * ry), (0.1, -0.9 * ry), (0.3, 0.5), (-0.3, 0.5)], animal.marking)


def _ear_colour(animal: Animal) -> Colour:
    return _mix(animal.fur, animal.marking if animal.pattern in ("patch", "blaze") else DARK, 0.35)


def _muted(rng: np.random.Generator) -> np.ndarray:
    return rng.uniform(70, 215) + rng.normal(0, 20, 3)


def _mix(colour: Colour, other: Colour, amount: float) -> Colour:
    return as_colour(np.add(np.multiply(colour, 1 - amount), np.multiply(other, amount)))
