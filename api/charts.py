"""Charts drawn on the server: figures -> SVG elements whose looks are in the style sheet, with the numbers as text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from markupsafe import Markup, escape

WIDE, HIGH = 640, 200
LEFT, BOTTOM, TOP = 36, 28, 12
KINDS = 6
"""Colours there are: a seventh series is drawn as `others`."""


@dataclass(frozen=True, slots=True)
class Series:
    """One colour of a stacked chart: its name and a value per column."""

    name: str
    values: Sequence[int]


def stacked(title: str, columns: Sequence[str], series: Sequence[Series]) -> Markup:
    """Stacked columns. `title` is what a screen reader says of it; the table beside it has the numbers."""
    highest = max((sum(each.values[n] for each in series) for n in range(len(columns))), default=0)
    top = _round_up(highest)
    step = (WIDE - LEFT) / max(1, len(columns))
    parts = [_grid(top)]
    for n, column in enumerate(columns):
        base: float = HIGH - BOTTOM
        for kind, each in enumerate(series):
            high = each.values[n] / top * (HIGH - BOTTOM - TOP)
            if high:
                base -= high
                parts.append(
                    f'<rect class="k{min(kind, KINDS - 1)}" x="{LEFT + n * step + step * 0.12:.1f}" y="{base:.1f}" '
                    f'width="{step * 0.76:.1f}" height="{high:.1f}"></rect>'
                )
        if len(columns) <= 12 or n % 5 == 0:
            where = LEFT + (n + 0.5) * step
            parts.append(f'<text x="{where:.1f}" y="{HIGH - 8}" text-anchor="middle">{escape(column)}</text>')
    inside = "".join(parts)
    return Markup(  # every text in it is escaped above
        f'<svg class="chart" viewBox="0 0 {WIDE} {HIGH}" role="img" aria-label="{escape(title)}">{inside}</svg>'
    )


def _grid(top: int) -> str:
    lines = []
    for part in (0, 0.5, 1):
        y = HIGH - BOTTOM - part * (HIGH - BOTTOM - TOP)
        lines.append(f'<line x1="{LEFT}" x2="{WIDE}" y1="{y:.1f}" y2="{y:.1f}"></line>')
        lines.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{top * part:g}</text>')
    return "".join(lines)


def _round_up(highest: int) -> int:
    """The top of the scale: the next even number of a round kind."""
    for step in (2, 4, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 100_000):
        if highest <= step:
            return step
    return highest


def by_day(counts: Mapping[tuple[date, str], int], first: date, last: date) -> tuple[list[str], list[Series]]:
    """Counts by (day, name) -> a column for every day and a series per name, the largest first, the rest as others."""
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    totals: dict[str, int] = {}
    for (_, name), count in counts.items():
        totals[name] = totals.get(name, 0) + count
    names = sorted(totals, key=lambda name: (-totals[name], name))
    shown, rest = (names, []) if len(names) <= KINDS else (names[: KINDS - 1], names[KINDS - 1 :])
    series = [Series(name, [counts.get((day, name), 0) for day in days]) for name in shown]
    if rest:
        series.append(Series("others", [sum(counts.get((day, name), 0) for name in rest) for day in days]))
    return [f"{day.day}/{day.month}" for day in days], series


def in_spans(days: Mapping[int, int]) -> list[tuple[str, int]]:
    """Counts by whole days -> a count for each span of days; none when there is nothing."""
    if not days:
        return []
    edges = (3, 7, 14, 21, 30)
    counted, below = [], 0
    for edge in edges:
        counted.append((f"{below} to {edge}", sum(count for day, count in days.items() if below <= day <= edge)))
        below = edge + 1
    return [*counted, (f"over {edges[-1]}", sum(count for day, count in days.items() if day > edges[-1]))]
