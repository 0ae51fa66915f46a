"""Turns UPS's label picture, which comes sideways, into an upright 4 x 6 inch page, as PNG and as PDF."""

from datetime import UTC, datetime
from io import BytesIO

from fpdf import FPDF
from PIL import Image, ImageChops

INCHES = (4, 6)
DOTS_PER_INCH = 203  # what label printers have; UPS draws 1400 x 800 for them
PAGE = (INCHES[0] * DOTS_PER_INCH, INCHES[1] * DOTS_PER_INCH)
MILLIMETRES = (INCHES[0] * 25.4, INCHES[1] * 25.4)
LARGEST_PIXELS = 20_000_000
WHITE = 255


def upright(picture: bytes) -> tuple[bytes, bytes]:
    """The PNG and the PDF of a label picture. Raises ValueError for bytes that are no picture."""
    try:
        with Image.open(BytesIO(picture)) as opened:
            if opened.width * opened.height > LARGEST_PIXELS:
                raise ValueError(f"a label of {opened.width} x {opened.height} dots is no label")
            page = _page(opened.convert("L"))
    except (OSError, SyntaxError) as error:  # Pillow's ways to say that it is no picture
        raise ValueError("the label is no picture that can be read") from error
    png = BytesIO()
    page.save(png, "PNG", dpi=(DOTS_PER_INCH, DOTS_PER_INCH), optimize=True)
    return png.getvalue(), _pdf(png.getvalue())


def _page(label: Image.Image) -> Image.Image:
    if label.width > label.height:
        # Turned by a quarter clockwise.  # source: facts/ups.md 2.6
        label = label.transpose(Image.Transpose.ROTATE_270)
    label = _without_blank_foot(label)
    scale = min(PAGE[0] / label.width, PAGE[1] / label.height)
    if 1.0 <= scale <= 1.1:  # nearly the page: dot for dot, so that bars stay sharp
        scale = 1.0
    size = (max(1, round(label.width * scale)), max(1, round(label.height * scale)))
    page = Image.new("L", PAGE, WHITE)
    page.paste(label.resize(size, Image.Resampling.LANCZOS), ((PAGE[0] - size[0]) // 2, 0))
    return page


def _without_blank_foot(label: Image.Image) -> Image.Image:
    """UPS's picture is longer than 4 x 6; what is beyond is cut where it is blank, so that bars keep their width."""
    height = label.width * INCHES[1] // INCHES[0]
    if label.height <= height:
        return label
    ink = ImageChops.invert(label).getbbox()
    return label.crop((0, 0, label.width, max(height, ink[3] if ink else 0)))


def _pdf(png: bytes) -> bytes:
    """One page that is the label. Its date is fixed: the same label always gives the same bytes."""
    page = FPDF(unit="mm", format=MILLIMETRES)
    page.set_creation_date(datetime(2026, 1, 1, tzinfo=UTC))
    page.set_auto_page_break(False)
    page.set_margin(0)
    page.add_page()
    page.image(BytesIO(png), x=0, y=0, w=MILLIMETRES[0], h=MILLIMETRES[1])
    return bytes(page.output())
