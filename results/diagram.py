"""The path from a silent video to a video with sound, as an SVG that looks alike on light and on dark pages."""

import math
from collections.abc import Sequence

WIDTH, HEIGHT = 880, 596
BOX_WIDTH, BOX_HEIGHT = 172, 116
COLUMNS = (40, 244, 448, 652)  # left edges of the boxes
ROWS = (96, 276, 456)  # upper edges of the boxes
MAGMA = ("#221150", "#51127c", "#8c2981", "#b73779", "#de4968", "#fc8961", "#fec488")
INK, LEARNING = "#4a4560", "#c4501b"
STYLE = f"""
text {{ font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif; }}
.name {{ font-size: 15.5px; font-weight: 600; fill: #2b2540; text-anchor: middle; }}
.about {{ font-size: 13.5px; fill: #5d5872; text-anchor: middle; }}
.note {{ font-size: 13.5px; fill: {INK}; }}
.model {{ fill: #f8ecf7; stroke: #8c2981; stroke-width: 1.8; }}
.step {{ fill: #f4f4f8; stroke: #b9b6c9; stroke-width: 1.4; }}
.end {{ fill: #221150; }}
.end ~ .name {{ fill: #fff; }}
.end ~ .about {{ fill: #d3cbea; }}
.data {{ fill: #fff3e6; stroke: {LEARNING}; stroke-width: 1.4; stroke-dasharray: 5 4; }}
.flow {{ fill: none; stroke: {INK}; stroke-width: 1.8; }}
.learn {{ fill: none; stroke: {LEARNING}; stroke-width: 1.8; stroke-dasharray: 5 4; }}
"""
Point = tuple[float, float]


def path_diagram() -> str:
    """The whole SVG, on a card of its own."""
    a, b, c, d = COLUMNS
    top, middle, low = ROWS
    half, centre = BOX_HEIGHT / 2, BOX_WIDTH / 2
    under_top, under_middle = top + BOX_HEIGHT, middle + BOX_HEIGHT
    between, below = (under_top + middle) / 2, (under_middle + low) / 2
    boxes = [
        _box(a, top, "end", "silent video", "of any length", _film()),
        _box(b, top, "step", "frames", "looked at in turn", _frames()),
        _box(c, top, "model", "ResNet-50", "→ class of each frame", _layers()),
        _box(d, top, "step", "scenes, moments", "who is seen, and when", _scenes()),
        _box(a, middle, "model", "Top prior", "class → coarse codes", _codes(6)),
        _box(b, middle, "model", "Bottom prior", "→ fine codes", _codes(12)),
        _box(c, middle, "model", "VQ-VAE-2 decoder", "→ spectrogram", _spectrogram()),
        _box(d, middle, "step", "Griffin-Lim", "→ waveform", _wave()),
        _box(d, low, "step", "mix", "calls at their moments", _calls()),
        _box(c, low, "end", "video with sound", "picture as it was", _film(is_heard=True)),
        _folder(c, 22, "photos/<class>"),
        _folder((a + b) / 2, 452, "sounds/<class>"),
    ]
    folder_x = (a + b) / 2 + centre
    arrows = [
        *(_arrow((left + BOX_WIDTH, y + half), (left + 204, y + half)) for y in (top, middle) for left in (a, b, c)),
        _arrow((d + centre, under_top), (d + centre, between), (a + centre, between), (a + centre, middle)),
        _arrow((d + BOX_WIDTH, top + half), (848, top + half), (848, low + half), (d + BOX_WIDTH, low + half)),
        _arrow((d + centre, under_middle), (d + centre, low)),
        _arrow((d, low + half), (c + BOX_WIDTH, low + half)),
        _arrow((a, top + half), (20, top + half), (20, 540), (c, 540)),
        _arrow((c + centre, 60), (c + centre, top), kind="learn"),
        _arrow((folder_x, 452), (folder_x, below), (a + centre, below), (a + centre, under_middle), kind="learn"),
        _arrow((folder_x, below), (b + centre, below), (b + centre, under_middle), kind="learn"),
        _arrow((b + centre, below), (c + centre, below), (c + centre, under_middle), kind="learn"),
    ]
    notes = [
        _text(432, between - 8, "note", "the class of each scene", 'text-anchor="middle"'),
        _text(34, 532, "note", "the picture is copied, never re-encoded"),
        _text(868, 340, "note", "the moments of its events", 'text-anchor="middle" transform="rotate(-90 868 340)"'),
        '<rect class="model" x="41" y="22" width="20" height="15" rx="4"/>',
        _text(68, 35, "note", "a model that you train"),
        '<path class="learn" d="M41 58H61"/>',
        _text(68, 63, "note", "what it learns from"),
        '<rect class="step" x="245" y="22" width="20" height="15" rx="4"/>',
        _text(272, 35, "note", "a computed step"),
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"'
        ' role="img">\n<title>The path from a silent video to a video with sound</title>\n'
        f"<style>{STYLE}</style>\n"
        f'<rect x="1" y="1" width="{WIDTH - 2}" height="{HEIGHT - 2}" rx="14" fill="#fff" stroke="#d5d2e0"/>\n'
        + "\n".join([*arrows, *boxes, *notes])
        + "\n</svg>\n"
    )


def _box(x: float, y: float, kind: str, name: str, about: str, glyph: str) -> str:
    """A box with its name above, a glyph that is drawn around (0, 0), and a line below."""
    return (
        f'<g transform="translate({x:g} {y:g})">'
        f'<rect class="{kind}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="10"/>'
        + _text(BOX_WIDTH / 2, 25, "name", name)
        + f'<g transform="translate({BOX_WIDTH / 2:g} 61)">{glyph}</g>'
        + _text(BOX_WIDTH / 2, 104, "about", about)
        + "</g>"
    )


def _folder(x: float, y: float, name: str) -> str:
    tab = "M0 8q0-6 6-6h40l8 8h112q6 0 6 6v16q0 6-6 6h-160q-6 0-6-6z"
    return f'<g transform="translate({x:g} {y:g})"><path class="data" d="{tab}"/>{_text(86, 29, "about", name)}</g>'


def _text(x: float, y: float, kind: str, words: str, more: str = "") -> str:
    words = words.replace("<", "&lt;").replace(">", "&gt;")
    return f'<text class="{kind}" x="{x:g}" y="{y:g}" {more}>{words}</text>'.replace(" >", ">")


def _arrow(*points: Point, kind: str = "flow") -> str:
    """A line along points with round corners and a head at its end."""
    (x_before, y_before), (x, y) = points[-2:]
    angle = math.degrees(math.atan2(y - y_before, x - x_before))
    colour = INK if kind == "flow" else LEARNING
    path = f"M{points[0][0]:g} {points[0][1]:g}"
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        (x0, y0), (x1, y1) = _towards(corner, before, 8), _towards(corner, after, 8)
        path += f"L{x0:g} {y0:g}Q{corner[0]:g} {corner[1]:g} {x1:g} {y1:g}"
    end_x, end_y = _towards((x, y), (x_before, y_before), 7)
    head = f'<path d="M0 0L-9 -5V5Z" fill="{colour}" transform="translate({x:g} {y:g}) rotate({angle:g})"/>'
    return f'<path class="{kind}" d="{path}L{end_x:g} {end_y:g}"/>{head}'


def _towards(start: Point, end: Point, distance: float) -> Point:
    length = math.dist(start, end)
    return tuple(s + (e - s) / length * distance for s, e in zip(start, end, strict=True))


def _film(is_heard: bool = False) -> str:
    x = -14 if is_heard else 0
    holes = "".join(
        f'<rect x="{x - 34 + 12 * i}" y="{y}" width="7" height="5" rx="1" fill="#221150"/>'
        for i in range(6)
        for y in (-20, 15)
    )
    waves = "".join(
        f'<path d="M{x + 46 + 9 * i} {-8 - 5 * i}q{7 + 3 * i} {8 + 5 * i} 0 {16 + 10 * i}" fill="none" '
        f'stroke="{MAGMA[6 - i]}" stroke-width="3" stroke-linecap="round"/>'
        for i in range(3)
    )
    film = f'<rect x="{x - 39}" y="-24" width="78" height="48" rx="5" fill="#8d83ad"/>{holes}'
    return f'{film}<path d="M{x - 7} -9L{x + 10} 0L{x - 7} 9Z" fill="#fff"/>' + (waves if is_heard else "")


def _frames() -> str:
    return "".join(
        f'<rect x="{-44 + 14 * i}" y="{-22 + 4 * i}" width="46" height="32" rx="4" fill="{colour}" stroke="#fff" '
        'stroke-width="1.5"/>'
        for i, colour in enumerate(("#d9d6e4", "#c2bdd3", "#a59dbd", "#8d83ad"))
    )


def _layers() -> str:
    heights = (46, 46, 38, 38, 30, 30, 22, 22, 14)
    bars = ((-52 + 12 * i, h, MAGMA[min(1 + i // 2, 5)]) for i, h in enumerate(heights))
    return "".join(f'<rect x="{x}" y="{-h / 2:g}" width="8" height="{h}" rx="2" fill="{c}"/>' for x, h, c in bars)


def _scenes() -> str:
    spans = ((-66, 50, MAGMA[2]), (-12, 26, "#c9c6d6"), (18, 48, MAGMA[5]))
    bars = "".join(f'<rect x="{x}" y="-16" width="{w}" height="14" rx="3" fill="{c}"/>' for x, w, c in spans)
    moments = ((-58, MAGMA[2]), (-39, MAGMA[2]), (-25, MAGMA[2]), (26, MAGMA[5]), (52, MAGMA[5]))
    return bars + "".join(
        f'<path d="M{x} 18V6" stroke="{c}" stroke-width="2"/><circle cx="{x}" cy="7" r="4" fill="{c}"/>'
        for x, c in moments
    )


def _codes(num: int) -> str:
    """A square of coloured cells, of a made-up but fixed pattern."""
    size = 50 / num
    cells = []
    for row in range(num):
        for column in range(num):
            level = math.sin(2.6 * row / num * 3 + 1.2) + math.sin(7 * column / num + 2 * row / num)
            colour = MAGMA[round((level + 2) / 4 * 6 + (row * 5 + column * 3) % 3 - 1) % 7]
            x, y = -25 + column * size, -25 + row * size
            cells.append(
                f'<rect x="{x:.4g}" y="{y:.4g}" width="{size - 0.6:.3g}" height="{size - 0.6:.3g}" fill="{colour}"/>'
            )
    return "".join(cells)


def _spectrogram() -> str:
    lines = "".join(
        f'<path d="M{x} {18 - k * pitch}q{width / 3:g} {-1.5 - 1.5 * k} {width} {1 + k}" fill="none" '
        f'stroke="{MAGMA[6 - k]}" stroke-width="3" stroke-linecap="round"/>'
        for x, width, pitch in ((-48, 44, 9), (8, 9, 7), (24, 9, 7), (40, 9, 7))
        for k in range(5)
    )
    return f'<rect x="-56" y="-26" width="112" height="52" rx="4" fill="#0b0720"/>{lines}'


def _wave(left: int = -60, right: int = 60, height: float = 22, colours: Sequence[str] = (MAGMA[3],)) -> str:
    bars = []
    for i, x in enumerate(range(left, right + 1, 5)):
        at = (x - left) / (right - left)
        size = max(1.5, height * math.sin(math.pi * at) * (0.45 + 0.55 * abs(math.sin(2.3 * i))))
        bars.append(f"M{x} {-size:.3g}V{size:.3g}")
    return f'<path d="{"".join(bars)}" stroke="{colours[0]}" stroke-width="3" stroke-linecap="round"/>'


def _calls() -> str:
    line = '<path d="M-68 0H68" stroke="#b9b6c9" stroke-width="2"/>'
    calls = ((-62, -42, 15, 2), (-34, -9, 22, 2), (14, 29, 18, 5), (40, 60, 22, 5))
    return line + "".join(_wave(left, right, height, (MAGMA[c],)) for left, right, height, c in calls)
