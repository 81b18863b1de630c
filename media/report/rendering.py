"""Fills the HTML templates of the pages."""

import os
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from media.files import atomic_path
from media.report.pictures import HEIGHT, WIDTH, bars_path, sound_uri, spectrogram_uri

FOLDER = Path(__file__).parent
DENSE = 80  # so many marks are drawn faintly, and firmly once the reader zooms in
ZOOM_FROM_S = 60
CLOSEST_S = 20  # of the video across the whole width


def write_page(template: str, path: Path, **values: object) -> None:
    """Writes a page, complete or not at all.

    Args:
        template: name of a file in `templates`.
        path: file to be written.
        values: names in the template and their values.
    """
    page = ENVIRONMENT.get_template(template).render(values)
    with atomic_path(path) as temporary:
        temporary.write_bytes(page.encode("utf-8", errors="replace"))  # file names may hold what is no character


def link_to(path: Path) -> str:
    """Returns the address of a file beside the page, whatever characters its name has."""
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
}
ENVIRONMENT.filters |= {
    "bars_path": bars_path,
    "clock": clock,
    "count": lambda number, thing: f"{number} {thing}" if number == 1 else f"{number} {thing}s",
    "link": link_to,
    "percent": lambda share, num_decimals=0: f"{share:.{num_decimals}%}",
    "sound_uri": sound_uri,
    "spectrogram_uri": spectrogram_uri,
}
