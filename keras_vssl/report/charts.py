"""SVG drawn by hand: lines, a heat map, a scatter plot. Colours come from the page's CSS."""

import html
import math

# Distinct on white and on near-black; the thirteenth class starts again with another mark.
COLOURS = (
    "#4477dd", "#e8743b", "#2e9e6b", "#c94f7c", "#8a63d2", "#c9a227",
    "#2aa5b8", "#a0522d", "#6b8e23", "#d14545", "#7f8c9b", "#b05fc4",
)  # fmt: skip
_LETTER = 6.2  # pixels a character of an 11 px label takes


def escape(text):
    """Text made safe for HTML content and attributes."""
    return html.escape(str(text), quote=True)


def ticks(low, high, count=5):
    """Round numbers that span [low, high]."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return [0.0, 1.0]
    if high <= low:
        margin = abs(low) * 0.1 or 0.5
        low, high = low - margin, high + margin
    raw = (high - low) / max(count - 1, 1)
    power = 10 ** math.floor(math.log10(raw))
    step = next(power * f for f in (1, 2, 2.5, 5, 10) if power * f >= raw * (1 - 1e-9))
    first = math.floor(low / step + 1e-9)
    last = math.ceil(high / step - 1e-9)
    return [i * step for i in range(first, last + 1)]


def number(value):
    """A number as short as it can be read."""
    if not math.isfinite(value):
        return "–"
    if value and (abs(value) >= 1e5 or abs(value) < 1e-3):
        return f"{value:.1e}"
    return f"{value:.4g}"


def lines(series, title, xlabel="epoch", chance=None, width=460, height=260):
    """A line chart.

    Args:
        series: dict of name to list of (x, y); what isn't finite is left out.
        title: str.
        xlabel: str.
        chance: float or None, drawn as a dashed line: what guessing gives.
        width, height: int, the drawing's units; it scales with the page.

    Returns:
        str, an `<svg>` element, "" without a finite value. Every point has a hover title.
    """
    series = {
        name: [(x, y) for x, y in points if math.isfinite(y)] for name, points in series.items()
    }
    points = [point for values in series.values() for point in values]
    if not points:
        return ""
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    ys += [chance] if chance is not None else []
    yticks = ticks(min(ys), max(ys))
    xticks = [x for x in ticks(min(xs), max(xs), 6) if x == int(x) and min(xs) <= x <= max(xs)]
    left, right, top, bottom = 52, width - 14, 34, height - 38
    x_low, x_high = min(xs), max(max(xs), min(xs) + 1)

    def px(x):
        return left + (x - x_low) / (x_high - x_low) * (right - left)

    def py(y):
        return bottom - (y - yticks[0]) / (yticks[-1] - yticks[0]) * (bottom - top)

    out = [_svg(width, height, title), _text(left, 18, title, "chart-title", "start")]
    for y in yticks:
        out.append(_rule("grid", left, right, py(y)))
        out.append(_text(left - 7, py(y) + 4, number(y), anchor="end"))
    out += [_text(px(x), bottom + 17, number(x)) for x in xticks]
    out.append(_text(right, bottom + 32, xlabel, anchor="end"))
    if chance is not None:
        out.append(_rule("chance", left, right, py(chance), f"chance {number(chance)}"))
        out.append(_text(right, py(chance) + 13, "chance", anchor="end"))
    for k, (name, values) in enumerate(series.items()):
        colour = COLOURS[k % len(COLOURS)]
        path = " ".join(f"{px(x):.1f},{py(y):.1f}" for x, y in values)
        out.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2.2" '
            'stroke-linejoin="round"/>'
        )
        radius = 3 if len(values) <= 40 else 1.6
        for x, y in values:
            place = f'cx="{px(x):.1f}" cy="{py(y):.1f}"'
            hover = f"{escape(name)} {number(y)}, {escape(xlabel)} {number(x)}"
            out.append(
                f'<g class="point"><circle {place} r="{radius}" fill="{colour}"/>'
                f'<circle {place} r="9" fill="transparent"><title>{hover}</title></circle></g>'
            )
    return "".join(out) + (_names(series, right) if len(series) > 1 else "") + "</svg>"


def _names(series, right):
    """The series' names with their colours, in the upper right corner."""
    out, x = [], right
    for k, name in reversed(list(enumerate(series))):
        x -= (_LETTER + 0.8) * len(name) + 26
        out.append(f'<circle cx="{x + 6}" cy="14" r="4.5" fill="{COLOURS[k % len(COLOURS)]}"/>')
        out.append(_text(x + 15, 18, name, anchor="start"))
    return "".join(out)


def heatmap(matrix, names, title="confusion"):
    """A confusion matrix: rows are the true classes, columns what was said.

    Args:
        matrix: int array or nested list `[K, K]`.
        names: K str.
        title: str, for screen readers.
    """
    count = len(names)
    label = min(max([len(str(name)) for name in names] + [4]) * _LETTER + 12, 170)
    cell = max(6.0, min(44.0, 640 / max(count, 1)))
    width, height = label + cell * count + 8, cell * count + label + 26
    out = [_svg(width, height, title, f'class="square" style="max-width:{width:.0f}px"')]
    for i in range(count):
        total = float(sum(matrix[i])) or 1.0
        for j in range(count):
            x, y = label + j * cell, 4 + i * cell
            out.append(_cell(matrix[i][j], total, i == j, x, y, cell, (names[i], names[j])))
        if cell >= 9:
            name = _cut(names[i], label)
            out.append(_text(label - 6, 4 + i * cell + cell / 2 + 4, name, anchor="end"))
            x, y = label + i * cell + cell / 2 + 4, cell * count + 12
            out.append(
                f'<text class="tick" transform="translate({x:.1f},{y:.1f}) rotate(-90)" '
                f'text-anchor="end">{escape(name)}</text>'
            )
    return "".join(out) + "</svg>"


def _cell(value, total, hit, x, y, cell, names):
    share = float(value) / total
    hover = f"{escape(names[0])} taken for {escape(names[1])}: {int(value)} of {int(total)}"
    out = (
        f'<rect class="{"hit" if hit else "miss"}" x="{x:.1f}" y="{y:.1f}" '
        f'width="{cell - 1:.1f}" height="{cell - 1:.1f}" rx="2" style="--share:{share:.3f}">'
        f"<title>{hover}</title></rect>"
    )
    if cell >= 20 and value:
        style = "cell strong" if share > 0.55 else "cell"
        out += _text(x + cell / 2, y + cell / 2 + 4, int(value), style)
    return out


def scatter(points, classes, names, hovers=None, width=760, height=520):
    """Points coloured by class.

    Args:
        points: float array `[N, 2]`.
        classes: int array `[N]`, -1 for none.
        names: list of str, the classes.
        hovers: N str or None.
        width, height: int, the drawing's units.
    """
    xs, ys = [float(p[0]) for p in points], [float(p[1]) for p in points]
    x_low, y_low = min(xs), min(ys)
    x_span, y_span = (max(xs) - x_low) or 1.0, (max(ys) - y_low) or 1.0
    out = [_svg(width, height, "map of embeddings", 'class="map"')]
    for i, (x, y) in enumerate(zip(xs, ys, strict=True)):
        px = 14 + (x - x_low) / x_span * (width - 28)
        py = 14 + (1 - (y - y_low) / y_span) * (height - 28)
        k = int(classes[i])
        hover = hovers[i] if hovers is not None else (names[k] if k >= 0 else "no label")
        out.append(_mark(k, px, py, f"<title>{escape(hover)}</title>"))
    return "".join(out) + "</svg>"


def legend(classes, names):
    """The marks of `scatter` with the classes' names, as HTML."""
    items = []
    for k in sorted({int(k) for k in classes}):
        mark = '<svg width="14" height="14" viewBox="0 0 14 14">' + _mark(k, 7, 7, "") + "</svg>"
        items.append(f"<span>{mark}{escape(names[k] if k >= 0 else 'no label')}</span>")
    return '<div class="legend">' + "".join(items) + "</div>"


def _mark(k, x, y, inner):
    colour = "var(--faint)" if k < 0 else COLOURS[k % len(COLOURS)]
    shape = 0 if k < 0 else (k // len(COLOURS)) % 3
    paint = f'class="dot" fill="{colour}"'
    if shape == 1:
        corner = f'x="{x - 4:.1f}" y="{y - 4:.1f}"'
        return f'<rect {paint} {corner} width="8" height="8">{inner}</rect>'
    if shape == 2:
        return f'<path {paint} d="M{x:.1f} {y - 5:.1f}l5 9h-10z">{inner}</path>'
    return f'<circle {paint} cx="{x:.1f}" cy="{y:.1f}" r="4.5">{inner}</circle>'


def _svg(width, height, title, attributes=""):
    box = f'viewBox="0 0 {width:.0f} {height:.0f}"'
    return f'<svg {attributes} {box} role="img" aria-label="{escape(title)}">'


def _text(x, y, text, style="tick", anchor="middle"):
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text class="{style}" {place}>{escape(text)}</text>'


def _rule(style, left, right, y, hover=""):
    title = f"<title>{escape(hover)}</title>" if hover else ""
    ends = f'x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"'
    return f'<line class="{style}" {ends}>{title}</line>'


def _cut(name, pixels):
    room = max(int((pixels - 10) / _LETTER), 3)
    name = str(name)
    return name if len(name) <= room else name[: room - 1] + "…"
