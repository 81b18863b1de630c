"""The page with the pictures, decisions and sounds of an input."""

from pathlib import Path

import numpy as np

from media.report.contents import Report
from media.report.pictures import frame_uri
from media.report.rendering import write_page

NUM_FRAMES = 12
LONGEST_EMBEDDED_S = 20 * 60  # of all variants together, about 10 MB of Opus


def write_report(report: Report, path: Path) -> None:
    """Writes a page of less than about 15 MB; it is complete or absent.

    Pictures, curves and sounds are embedded. If the variants together last longer than 20 minutes, the players use the
    output files, which then must stay beside the page.

    Raises:
        FileNotFoundError, UnreadableSound: if a variant's sound cannot be read.
    """
    every = max(1, -(-len(report.frames) // NUM_FRAMES))
    activity = report.activity
    write_page(
        "report.html",
        path,
        report=report,
        colours=report.colours(),
        pictures=[frame_uri(frame) for _, frame in report.frames[::every]],
        is_embedded=report.duration_s * len(report.variants) <= LONGEST_EMBEDDED_S,
        probabilities=dict(zip(report.classes, report.class_probabilities.T, strict=True)),
        cuts_s=activity.cuts_s if activity else (),
        highest=max(np.max(activity.curve, initial=0), np.max(activity.strengths, initial=0)) or 1.0
        if activity
        else 1.0,
    )
