"""Photos as arrays."""

import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

PHOTO_SUFFIXES = frozenset({".bmp", ".gif", ".jfif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"})


class UnreadablePhoto(ValueError):
    """A file that should be a photo is not; the message names the file and the reason."""


def read_photo(path: Path) -> np.ndarray:
    """A photo as the camera's owner sees it: upright, in RGB, transparent parts on white; of an animation its start.

    Returns:
        uint8 (height, width, 3), RGB.

    Raises:
        FileNotFoundError: where there is no such file.
        UnreadablePhoto: where Pillow cannot read it, or it has more than 179 million pixels, Pillow's limit.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not a file; expected a photo.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of large pictures and odd tags, and reads them well
            with Image.open(path) as image:
                return np.array(_rgb_image(ImageOps.exif_transpose(image)))
    except Exception as error:  # on a damaged file Pillow raises nearly anything: OSError, SyntaxError, struct.error …
        raise UnreadablePhoto(f"{path} is not a readable photo: {error}") from error


def _rgb_image(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits a pixel, which Pillow would clip to 8
        return Image.fromarray((np.array(image) / 257).round().clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")
