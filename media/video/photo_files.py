"""Photos as arrays, recognised by their content, not by their names."""

import re
import warnings
from contextlib import suppress
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, PngImagePlugin, UnidentifiedImageError

with suppress(ImportError):  # for photos of many phones; Pillow alone reads AVIF, but no HEIC
    from pillow_heif import register_heif_opener

    register_heif_opener()

PHOTO_SUFFIXES = frozenset(
    {".avif", ".bmp", ".gif", ".heic", ".heif", ".jfif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)
PHOTO_HEAD = re.compile(
    rb"\xff\xd8\xff|\x89PNG|II\*\0|MM\0\*|RIFF....WEBP|BM|P[1-6]\s|....ftyp(?:avif|(?P<heic>hei[cmsx]|mif1))", re.DOTALL
)
PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_MEMORY  # bytes; programs store their settings in photos


class UnreadablePhoto(ValueError):
    """A file that should be a photo is not; the message names the file and the reason."""


def is_photo(path: Path) -> bool:
    """Whether a file is a photo, by its first bytes; it may still be damaged."""
    return _match_head(path) is not None


def count_pictures(path: Path) -> int:
    """Counts the pictures, or pages, of which `read_photo` reads the first; a JPEG's preview does not count."""
    with suppress(Exception), Image.open(path) as image:
        return 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
    return 1


def read_photo(path: Path) -> np.ndarray:
    """Reads a photo upright, in RGB, with white behind transparent parts; of an animation the first picture.

    Returns:
        uint8 (height, width, 3), RGB.

    Raises:
        FileNotFoundError: if there is no such file.
        UnreadablePhoto: if Pillow cannot read it, or it has more than 179 million pixels, Pillow's limit.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not a file; expected a photo.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about large pictures and odd tags, which Pillow reads well
            with Image.open(path) as image:
                return np.array(_rgb_image(ImageOps.exif_transpose(image)))
    except Exception as error:  # Pillow may raise anything on a damaged file: OSError, SyntaxError, struct.error …
        match = _match_head(path) if isinstance(error, UnidentifiedImageError) else None
        reason = "to read HEIC, run: pip install pillow-heif" if match and match["heic"] else error
        raise UnreadablePhoto(f"{path} is not a readable photo: {reason}") from error


def _match_head(path: Path) -> re.Match[bytes] | None:
    with path.open("rb") as file:
        return PHOTO_HEAD.match(file.read(12))


def _rgb_image(image: Image.Image) -> Image.Image:
    if image.mode == "F" or image.mode.startswith("I"):  # Pillow would clip these to 8 bits
        grey = np.nan_to_num(np.array(image, np.float64), posinf=0, neginf=0)
        scales = (1, 255, 65_535) if image.mode == "F" else (65_535,)
        white = next((scale for scale in scales if grey.max() <= scale), grey.max())
        return Image.fromarray((grey / white * 255).round().clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")
