"""A table as a picture: trials in which a hook lost something, and how long it kept the pod."""

from xml.sax.saxutils import escape

from bench.hooks.report import Group, Row

ROW, TOP, BOTTOM = 26, 86, 34
"""Pixels, like all sizes here."""
TITLES, LOSSES, SECONDS, GAP = 240, 340, 250, 30
LABELS = 120
"""Beside each bar."""
WIDTH = TITLES + LOSSES + GAP + SECONDS + 20
LOST, KEPT, PALE, INK = "#c0392b", "#2d6a9f", "#eef0f2", "#24292f"
STYLE = "text{font:13px sans-serif;fill:" + INK + "}.strong{font-weight:bold}.end{text-anchor:end}"


def draw(group: Group) -> str:
    """The text of an SVG file."""
    height = TOP + ROW * len(group.rows) + BOTTOM
    title = group.title.replace("`", "")
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}"'
        f' viewBox="0 0 {WIDTH} {height}" role="img">',
        f"<title>{escape(title)}</title>",
        f"<style>{STYLE}</style>",
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        _text(12, 22, title, "strong"),
        _text(12, 42, group.traffic),
        _text(TITLES, TOP - 12, "trials with a lost request"),
        _text(TITLES + LOSSES + GAP, TOP - 12, "seconds beyond the ideal end"),
    ]
    seconds = _Seconds(group)
    for number, row in enumerate(group.rows):
        y = TOP + ROW * number
        parts.append(_text(TITLES - 12, y + 17, row.title, "end"))
        parts += _losses(row, y)
        parts += seconds.bar(row, y)
    foot = height - 12
    parts.append(_text(TITLES, foot, "and the number of lost requests"))
    parts.append(_text(TITLES + LOSSES + GAP, foot, "median; red: cut short"))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _losses(row: Row, y: int) -> list[str]:
    longest = LOSSES - LABELS
    length = longest * row.trials_with_a_loss / row.trials
    label = f"{row.trials_with_a_loss} of {row.trials}: {row.lost} lost"
    return [
        _rect(TITLES, y, longest, PALE),
        _rect(TITLES, y, length, LOST),
        _text(TITLES + longest + 8, y + 17, label),
    ]


class _Seconds:
    """The right half; zero is where the longest bar on the left ends."""

    def __init__(self, group: Group) -> None:
        shortest = min(0.0, *(row.beyond for row in group.rows))
        longest = max(1.0, *(row.beyond for row in group.rows))
        left = TITLES + LOSSES + GAP + (LABELS / 2 if shortest < 0 else 0)
        self.scale = (TITLES + LOSSES + GAP + SECONDS - LABELS / 2 - left) / (longest - shortest)
        self.zero = left - shortest * self.scale

    def bar(self, row: Row, y: int) -> list[str]:
        length = row.beyond * self.scale
        bar = _rect(self.zero + min(0.0, length), y, abs(length), KEPT if length > 0 else LOST)
        axis = f'<path d="M{self.zero:.1f} {y}v{ROW}" stroke="{INK}"/>'
        label = f"{row.beyond:.2f}"
        if length < 0:
            return [bar, axis, _text(self.zero + length - 6, y + 17, label, "end")]
        return [bar, axis, _text(self.zero + length + 6, y + 17, label)]


def _rect(x: float, y: int, width: float, colour: str) -> str:
    height = ROW - 8
    return f'<rect x="{x:.1f}" y="{y + 4}" width="{width:.1f}" height="{height}" fill="{colour}"/>'


def _text(x: float, y: int, text: str, kind: str = "") -> str:
    which = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y}"{which}>{escape(text)}</text>'
