"""The page on which an input's pictures, decisions and sounds are seen and heard."""

from pathlib import Path

import numpy as np

from media.report.contents import Report
from media.report.pictures import curve_path, dots_path, frame_uri, stems_path
from media.report.rendering import write_page
from media.video.activity import Activity

NUM_FRAMES = 12
LONGEST_EMBEDDED_S = 20 * 60  # of all variants together; Opus makes about 10 MB of it


def write_report(report: Report, path: Path) -> None:
    """Writes the page, complete or not at all; it stays below about 15 MB, however long the input is.

    Pictures, curves and sounds are embedded. If the variants together last longer than 20 minutes, the players play the
    output files, which then must stay beside the page.

    Raises:
        FileNotFoundError, UnreadableSound: if a variant's sound cannot be read.
    """
    every = max(1, -(-len(report.frames) // NUM_FRAMES))
    cuts_s = report.activity.cuts_s if report.activity else ()
    probabilities = dict(zip(report.classes, report.class_probabilities.T, strict=True))
    duration_s = report.duration_s
    write_page(
        "report.html",
        path,
        report=report,
        colours=report.colours(),
        pictures=[frame_uri(frame) for _, frame in report.frames[::every]],
        is_embedded=duration_s * len(report.variants) <= LONGEST_EMBEDDED_S,
        means={name: float(values.mean()) for name, values in probabilities.items()},
        class_paths={
            name: curve_path(report.class_times_s, probabilities[name], duration_s) for name in report.colours()
        },
        num_cuts=len(cuts_s),
        cuts_path=stems_path(cuts_s, np.ones(len(cuts_s)), duration_s),
        activity_paths=draw_activity(report.activity, duration_s) if report.activity else {},
    )


def draw_activity(activity: Activity, duration_s: float) -> dict[str, str]:
    """Draws the activity as an `area`, and its onsets as a `stem` with a `dot` each; see `pictures`."""
    onsets_s, strengths = np.asarray(activity.onsets_s), np.asarray(activity.strengths)
    highest = max(np.max(activity.curve, initial=0), np.max(strengths, initial=0)) or 1.0
    return {
        "area": curve_path(activity.times_s, activity.curve / highest, duration_s, is_filled=True),
        "stem": stems_path(onsets_s, strengths / highest, duration_s),
        "dot": dots_path(onsets_s, strengths / highest, duration_s),
    }
