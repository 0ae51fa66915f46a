"""A shop's colours, made readable: every text keeps WCAG AA contrast whatever the terms say. Pure arithmetic."""

from collections.abc import Mapping, Sequence

AA = 4.5
"""The contrast that WCAG 2.2 asks of text (1.4.3)."""
WHITE, BLACK = "#ffffff", "#000000"
_LIGHT = {"alarm": "#9c2a10", "focus": "#1746b0"}
_NIGHT = {"paper": "#131619", "card": "#1c2024", "ink": "#eeece7", "alarm": "#ffa48d", "focus": "#9dbcff"}
_AIM = AA + 0.1  # browsers round


def luminance(colour: str) -> float:
    """Relative luminance.  # source: WCAG 2.2, "relative luminance"."""

    def linear(value: float) -> float:
        return value / 12.92 if value <= 0.03928 else ((value + 0.055) / 1.055) ** 2.4

    red, green, blue = (linear(int(colour[n : n + 2], 16) / 255) for n in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """1 to 21."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def mix(one: str, other: str, share: float) -> str:
    """`share` of the other colour in the one."""
    parts = (round(int(one[n : n + 2], 16) * (1 - share) + int(other[n : n + 2], 16) * share) for n in (1, 3, 5))
    return "#" + "".join(f"{part:02x}" for part in parts)


def readable(colour: str, behind: Sequence[str], least: float = _AIM) -> str:
    """The colour, moved toward black or white no further than it must to be read on all of these."""
    end = max((BLACK, WHITE), key=lambda pole: min(contrast(pole, back) for back in behind))
    for step in range(41):
        moved = mix(colour, end, step / 40)
        if all(contrast(moved, back) >= least for back in behind):
            return moved
    return end


def palette(paper: str, ink: str, accent: str) -> dict[str, str]:
    """The pages' colours by day, from the three that a shop states."""
    bright = luminance(paper) > 0.18
    if contrast(paper, BLACK if bright else WHITE) < 12:  # a middle grey leaves no room for text
        paper = mix(paper, WHITE if bright else BLACK, 0.75)
    card = mix(paper, WHITE, 0.7 if bright else 0.05)
    return _whole(paper, card, ink, accent, _LIGHT["alarm"], _LIGHT["focus"])


def night_palette(accent: str) -> dict[str, str]:
    """The same by night: our own dark, the shop's accent."""
    return _whole(_NIGHT["paper"], _NIGHT["card"], _NIGHT["ink"], accent, _NIGHT["alarm"], _NIGHT["focus"])


def _whole(paper: str, card: str, ink: str, accent: str, alarm: str, focus: str) -> dict[str, str]:
    wash, alarm_wash = mix(card, accent, 0.09), mix(card, alarm, 0.09)
    behind = (paper, card, wash, alarm_wash)
    accent = readable(accent, (paper, card, wash))
    ink = readable(ink, behind, 7.0)
    return {
        "paper": paper,
        "card": card,
        "ink": ink,
        "muted": readable(mix(ink, card, 0.35), behind),
        "line": mix(card, ink, 0.15),
        "strong-line": readable(mix(ink, card, 0.5), (paper, card), 3.1),
        "accent": accent,
        "on-accent": max((WHITE, BLACK), key=lambda pole: contrast(pole, accent)),
        "wash": wash,
        "alarm": readable(alarm, behind),
        "alarm-wash": alarm_wash,
        "focus": readable(focus, (paper, card), 3.1),
    }


TEXTS: Mapping[str, tuple[str, ...]] = {
    "ink": ("paper", "card", "wash", "alarm-wash"),
    "muted": ("paper", "card", "wash", "alarm-wash"),
    "accent": ("paper", "card", "wash"),
    "alarm": ("paper", "card", "alarm-wash"),
    "on-accent": ("accent",),
}
"""Which text stands on what, in the pages' style."""
