"""Fills the HTML templates of the pages."""

import os
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from media.files import atomic_path
from media.report.pictures import HEIGHT, WIDTH, sound_uri, spectrogram_uri, thin, x_of, y_of

FOLDER = Path(__file__).parent
DENSE = 80  # number of marks above which they are faint until the reader zooms in
ZOOM_FROM_S = 60  # length of a video from which the reader can zoom
CLOSEST_S = 20  # part of the video that fills the width at the strongest zoom


def write_page(template: str, path: Path, **values: object) -> None:
    """Writes a page from a file in `templates` and the values of its names; the page is complete or absent."""
    page = ENVIRONMENT.get_template(template).render(values)
    with atomic_path(path) as temporary:
        temporary.write_bytes(page.encode("utf-8", errors="replace"))  # file names may hold invalid characters


def link_to(path: Path) -> str:
    """Returns the address of a file beside the page, with any characters in its name."""
    return "./" + quote(os.fsencode(path.as_posix()))


def clock(time_s: float, num_decimals: int = 0) -> str:
    """Formats a time as a player shows it: 0:07, 12:34.5 or 1:02:03."""
    minutes, seconds = divmod(round(time_s, num_decimals), 60)
    hours, minutes = divmod(int(minutes), 60)
    width = 3 + num_decimals if num_decimals else 2
    start = f"{hours}:{minutes:02d}" if hours else f"{minutes}"
    return f"{start}:{seconds:0{width}.{num_decimals}f}"


ENVIRONMENT = Environment(
    loader=FileSystemLoader([FOLDER / "templates", FOLDER]),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
ENVIRONMENT.globals |= {
    "WIDTH": WIDTH,
    "HEIGHT": HEIGHT,
    "DENSE": DENSE,
    "ZOOM_FROM_S": ZOOM_FROM_S,
    "CLOSEST_S": CLOSEST_S,
    "thin": thin,
    "zip": zip,
}
ENVIRONMENT.filters |= {
    "clock": clock,
    "count": lambda number, thing: f"{number} {thing}" if number == 1 else f"{number} {thing}s",
    "link": link_to,
    "percent": lambda share, num_decimals=0: f"{share:.{num_decimals}%}",
    "sound_uri": sound_uri,
    "spectrogram_uri": spectrogram_uri,
    "x": x_of,
    "y": y_of,
}
