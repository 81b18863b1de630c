"""The part of a report that shows pictures, decisions and sounds over one axis of time."""

from collections.abc import Sized
from html import escape

import numpy as np

from media.report.contents import Report, ReportVariant
from media.report.pictures import HEIGHT, WIDTH, bars_path, curve_path, dots_path, spectrogram_uri, stems_path
from media.video.activity import Activity

DENSE = 80  # so many marks are drawn faintly, and firmly once the reader zooms in
ZOOM_FROM_S = 60
CLOSEST_S = 20  # of the video across the whole width


def timeline(report: Report, pictures: list[str], colours: dict[str, str]) -> str:
    """The section as HTML.

    Args:
        report: what is shown.
        pictures: `data:` URIs of the film's frames.
        colours: of the classes that are drawn, in CSS.
    """
    lanes = [_lane("axis", "", "")]  # the script writes the times
    if not report.is_photo:
        lanes += _picture_lanes(report, pictures, colours)
    for number, variant in enumerate(report.variants):
        lanes.append(_sound_lane(number, variant, report.duration_s))
    return f"""<section class="card">
<div class="legend">{"" if report.is_photo else _legend(report, colours)}{_zoom(report.duration_s)}</div>
<div class="scroller"><div class="timeline" data-duration="{report.duration_s}">
{"".join(lanes)}<div class="playhead"></div></div></div>
{"" if report.is_photo else _scene_list(report, colours)}</section>"""


def clock(time_s: float, num_decimals: int = 0) -> str:
    """A time as a player shows it: 0:07, 12:34.5 or 1:02:03."""
    minutes, seconds = divmod(round(time_s, num_decimals), 60)
    hours, minutes = divmod(int(minutes), 60)
    width = 3 + num_decimals if num_decimals else 2
    start = f"{hours}:{minutes:02d}" if hours else f"{minutes}"
    return f"{start}:{seconds:0{width}.{num_decimals}f}"


def _legend(report: Report, colours: dict[str, str]) -> str:
    allowed, barred = [], []
    for name, colour in colours.items():
        entry = f'<span><i style="--c:{colour}"></i>{escape(name)}</span>'
        (allowed if name in report.allowed else barred).append(entry)
    if barred:
        barred.insert(0, "<small>not allowed:</small>")
    if num_others := len(report.classes) - len(colours):
        barred.append(f"<small>{num_others} less probable not drawn</small>")
    return "".join(allowed + barred)


def _zoom(duration_s: float) -> str:
    if duration_s < ZOOM_FROM_S:
        return ""
    return f'<label>zoom <input id="zoom" type="range" min="1" max="{duration_s / CLOSEST_S:.0f}" value="1"></label>'


def _picture_lanes(report: Report, pictures: list[str], colours: dict[str, str]) -> list[str]:
    cuts_s = report.activity.cuts_s if report.activity else ()
    cuts_path = stems_path(cuts_s, np.ones(len(cuts_s)), report.duration_s)
    cuts = f'<path class="cut{_dense(cuts_s)}" d="{cuts_path}"/>' if cuts_path else ""
    probabilities = _chart("probabilities", cuts + _class_lines(report, colours))
    lanes = [
        _lane("film", "Picture", "".join(f'<img src="{uri}" alt="" draggable="false">' for uri in pictures)),
        _lane("classes", "Classes", probabilities, "how probable", f"dotted: {report.threshold:g}"),
    ]
    if report.scenes:
        notes = [_count(len(cuts_s), "cut")] if cuts else []
        lanes.append(_lane("scenes", "Scenes", _scenes(report, colours) + _chart("marks", cuts), *notes))
    if report.activity:
        lanes.append(_activity_lane(report.activity, report.duration_s, cuts))
    return lanes


def _class_lines(report: Report, colours: dict[str, str]) -> str:
    lines = [f'<path class="threshold" d="M0 {round(HEIGHT * (1 - report.threshold))}H{WIDTH}"/>']
    for name, colour in colours.items():
        probabilities = report.class_probabilities[:, report.classes.index(name)]
        path = curve_path(report.class_times_s, probabilities, report.duration_s)
        kind = "allowed" if name in report.allowed else "barred"
        lines.append(f'<path class="{kind}" style="--c:{colour}" d="{path}"/>')
    return "".join(lines)


def _scenes(report: Report, colours: dict[str, str]) -> str:
    spans = []
    for start_s, end_s, name in report.scenes:
        left, width = start_s / report.duration_s, (end_s - start_s) / report.duration_s
        style = f"left:{left:.3%};width:{width:.3%};--c:{colours.get(name, 'var(--none)')}"
        kind = "" if name in report.classes else "silence"
        title = f"{clock(start_s, 1)} to {clock(end_s, 1)}: {escape(name)}"
        spans.append(f'<span class="{kind}" style="{style}" title="{title}"><b>{escape(name)}</b></span>')
    return "".join(spans)


def _scene_list(report: Report, colours: dict[str, str]) -> str:
    rows = "".join(
        f'<tr><th>{clock(start_s, 1)} – {clock(end_s, 1)}</th><td><i style="--c:{colours.get(name, "var(--none)")}">'
        f"</i>{escape(name)}</td></tr>"
        for start_s, end_s, name in report.scenes
    )
    summary = _count(len(report.scenes), "scene")
    return f"<details><summary>{summary} as a list</summary><table>{rows}</table></details>" if rows else ""


def _activity_lane(activity: Activity, duration_s: float, cuts: str) -> str:
    onsets_s, strengths = np.asarray(activity.onsets_s), np.asarray(activity.strengths)
    highest = max(np.max(activity.curve, initial=0), np.max(strengths, initial=0)) or 1.0
    area = curve_path(activity.times_s, activity.curve / highest, duration_s, is_filled=True)
    content = (
        f'<path class="area" d="{area}"/>{cuts}'
        f'<path class="stem{_dense(onsets_s)}" d="{stems_path(onsets_s, strengths / highest, duration_s)}"/>'
        f'<path class="dot{_dense(onsets_s)}" d="{dots_path(onsets_s, strengths / highest, duration_s)}"/>'
    )
    return _lane("activity", "Activity", _chart("curve", content), _count(len(onsets_s), "onset"))


def _sound_lane(number: int, variant: ReportVariant, duration_s: float) -> str:
    notes, events = [f"seed {variant.seed}", f"0 to {variant.highest_hz / 1000:g} kHz"], ""
    if variant.events:
        notes.append(_count(len(variant.events), "event"))
        events = _chart("events", f'<path d="{bars_path(variant.events, duration_s)}"/>')
    picture = f'<img src="{spectrogram_uri(variant.spectrogram)}" alt="" draggable="false">'
    return _lane("sound", "Sound", events + picture, *notes, attributes=f'data-variant="{number}"')


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def _dense(marks: Sized) -> str:
    return " dense" if len(marks) > DENSE else ""


def _chart(kind: str, content: str) -> str:
    box = f'viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none"'
    return f'<svg class="chart {kind}" {box} aria-hidden="true">{content}</svg>'


def _lane(kind: str, title: str, content: str, *notes: str, attributes: str = "") -> str:
    label = f"<b>{title}</b>" + "".join(f"<span>{note}</span>" for note in notes)
    return (
        f'<div class="label {kind}-label">{label if title else ""}</div>\n'
        f'<div class="lane {kind}" {attributes}>{content}</div>\n'
    )
