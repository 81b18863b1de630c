"""The page itself."""

import os
from html import escape
from pathlib import Path
from urllib.parse import quote

from media.files import atomic_path
from media.report.contents import Report, ReportVariant
from media.report.pictures import frame_uri, sound_uri
from media.report.timeline import timeline

NUM_FRAMES = 12
LONGEST_EMBEDDED_S = 20 * 60  # of all variants together; Opus makes about 10 MB of it


def write_report(report: Report, path: Path) -> None:
    """Writes the page, complete or not at all; it stays below about 15 MB, however long the input is.

    Pictures, curves and sounds are embedded. Where the variants together last longer than 20 minutes, the players
    play the output files, which then must stay beside the page.

    Raises:
        FileNotFoundError, UnreadableSound: where a variant's sound cannot be read.
    """
    colours = report.colours()
    every = max(1, -(-len(report.frames) // NUM_FRAMES))
    pictures = [frame_uri(frame) for _, frame in report.frames[::every]]
    cards = [
        _seen(report, colours) if report.is_photo else "",
        _table("Settings", report.settings),
        _stages(report.seconds_per_stage),
        _table("Loudness", report.loudness),
        _checkpoints(report.checkpoints),
    ]
    page = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(report.path.name)}</title>
<link rel="icon" href="data:,">
<style>
{_beside("style.css")}</style>
</head>
<body>
{_header(report, pictures)}
{timeline(report, pictures, colours)}
<div class="tables">
{"".join(cards)}</div>
<footer>Made by video2audio. This page needs no network.</footer>
<script>
{_beside("script.js")}</script>
</body>
</html>
"""
    with atomic_path(path) as temporary:
        temporary.write_bytes(page.encode("utf-8", errors="replace"))  # file names may hold what is no character


def _beside(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def _header(report: Report, pictures: list[str]) -> str:
    view = f'<img id="view" src="{pictures[0]}" alt="">' if pictures else ""
    facts = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(fact)}</dd></div>" for name, fact in report.facts.items())
    is_embedded = report.duration_s * len(report.variants) <= LONGEST_EMBEDDED_S
    players = "".join(_player(variant, is_embedded) for variant in report.variants)
    title = escape(report.path.name)
    return f'<header class="card">{view}<div><h1>{title}</h1><dl class="facts">{facts}</dl>{players}</div></header>'


def _player(variant: ReportVariant, is_embedded: bool) -> str:
    link = "./" + quote(os.fsencode(variant.output.as_posix()))
    if is_embedded:
        audio, note = f'preload="auto" src="{sound_uri(variant.sound)}"', ""
    else:
        audio = f'preload="none" src="{link}"'
        note = "<small>Too long to embed: the player needs this file beside the page.</small>"
    return (
        f'<div class="player"><p><b>Seed {variant.seed}</b><a href="{link}">{escape(variant.output.name)}</a></p>'
        f"<audio controls {audio}></audio>{note}</div>\n"
    )


def _card(title: str, content: str, kind: str = "") -> str:
    return f'<section class="card {kind}"><h2>{title}</h2>{content}</section>\n'


def _table(title: str, values: dict[str, str]) -> str:
    rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in values.items())
    return _card(title, f"<table>{rows}</table>") if rows else ""


def _checkpoints(checkpoints: dict[str, tuple[str, str]]) -> str:
    rows = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(path)}<br><code>{escape(fingerprint)}</code></td></tr>"
        for name, (path, fingerprint) in checkpoints.items()
    )
    return _card("Checkpoints", f"<table>{rows}</table>") if rows else ""


def _seen(report: Report, colours: dict[str, str]) -> str:
    rows = []
    for name, colour in colours.items():
        probability = float(report.class_probabilities[:, report.classes.index(name)].mean())
        mark = "" if name in report.allowed else " (not allowed)"
        bar = f'<div class="track"><div style="width:{probability:.1%};--c:{colour}"></div></div>'
        rows.append(f"<tr><th>{escape(name)}{mark}</th><td>{bar}</td><td>{probability:.3f}</td></tr>")
    return _card("What was seen", f"<table>{''.join(rows)}</table>", "seen")


def _stages(seconds_per_stage: dict[str, float]) -> str:
    total_s = sum(seconds_per_stage.values())
    if not total_s:
        return ""
    bar, rows = [], []
    for number, (name, seconds) in enumerate(seconds_per_stage.items()):
        colour = f"--c:var(--c{number % 8})"
        bar.append(f'<span style="flex:{seconds:.6f};{colour}" title="{escape(name)}"></span>')
        rows.append(
            f'<tr><th><i style="{colour}"></i>{escape(name)}</th><td>{seconds:.1f} s</td>'
            f"<td>{seconds / total_s:.0%}</td></tr>"
        )
    rows.append(f"<tr><th>together</th><td>{total_s:.1f} s</td><td></td></tr>")
    return _card("Time spent", f'<div class="bar">{"".join(bar)}</div><table>{"".join(rows)}</table>', "stages")
