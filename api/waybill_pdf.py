"""The waybill instructions on one sheet of A4, to be kept or printed: pure, and the same input gives the same bytes."""

import importlib
import unicodedata
from collections.abc import Callable
from datetime import UTC
from typing import Any

from returns.waybills import Instructions

MARGIN, LABEL_WIDTH, LINE = 20.0, 62.0, 9.0
FACE = "Helvetica"  # one of the fonts that every reader of PDF has: it writes Latin-1


def draw_waybill(told: Instructions, shop: str, words: Callable[..., str]) -> bytes:
    """`words(key, **arguments)` says a key in the reader's language."""
    # by name and late: it takes as long to load as the web server does, and is needed for few sheets
    sheet = importlib.import_module("fpdf").FPDF(format="A4")
    sheet.set_creation_date(told.issued_at.astimezone(UTC))
    sheet.set_title(latin(words("print.waybill")))
    sheet.set_creator("Homeward")
    sheet.set_margins(MARGIN, MARGIN)
    sheet.add_page()
    _text(sheet, shop, 11)
    _text(sheet, words("print.waybill"), 20, bold=True)
    _text(sheet, words("print.waybill.lead", carrier=told.carrier), 12)
    sheet.ln(6)
    for name, value in _facts(told, words):
        _fact(sheet, name, value)
    return bytes(sheet.output())


def latin(text: str) -> str:
    """With the letters that the sheet's font has: others lose their marks (ł is l), or are a question mark."""
    return "".join(_letter(letter) for letter in text)


def _letter(letter: str) -> str:
    if _fits(letter):
        return letter
    bare = _BARE.get(letter) or unicodedata.normalize("NFKD", letter)
    return "".join(part for part in bare if _fits(part)) or "?"


_BARE = {"ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "’": "'", "‘": "'", "“": '"', "”": '"', "–": "-", "—": "-", "€": "EUR"}


def _fits(letter: str) -> bool:
    return ord(letter) < 256


def _facts(told: Instructions, words: Callable[..., str]) -> list[tuple[str, str]]:
    return [
        (words("print.service"), told.service),
        (words("print.payer"), told.payer),
        (words("print.account"), told.account),
        (words("print.return"), told.number),
        (words("print.to"), "\n".join(told.to)),
    ]


def _text(sheet: Any, text: str, size: int, *, bold: bool = False) -> None:
    sheet.set_font(FACE, "B" if bold else "", size)
    sheet.multi_cell(0, size * 0.6, latin(text), align="L", new_x="LMARGIN", new_y="NEXT")
    sheet.ln(2)


def _fact(sheet: Any, name: str, value: str) -> None:
    """A line of the form: what the field is called, and what is to be written in it."""
    top = sheet.get_y()
    sheet.set_font(FACE, "", 11)
    sheet.multi_cell(LABEL_WIDTH, LINE, latin(name), align="L", new_x="LMARGIN", new_y="NEXT")
    below = sheet.get_y()
    sheet.set_xy(MARGIN + LABEL_WIDTH, top)
    sheet.set_font(FACE, "B", 14)
    sheet.multi_cell(0, LINE, latin(value), align="L", new_x="LMARGIN", new_y="NEXT")
    sheet.set_y(max(below, sheet.get_y()))
    sheet.line(MARGIN, sheet.get_y() + 1, sheet.w - MARGIN, sheet.get_y() + 1)
    sheet.ln(4)
