"""Turns UPS's label picture, which comes sideways, into an upright 4 x 6 inch page, as PNG and as PDF."""

import time
from io import BytesIO

from PIL import Image, ImageChops

INCHES = (4, 6)
LARGEST_PIXELS = 20_000_000
WHITE, INKED_BELOW = 255, 160
# The same label always gives the same bytes, so its PDF is dated once and for all.
DATED = time.struct_time((2026, 1, 1, 0, 0, 0, 3, 1, 0))


def upright(picture: bytes) -> tuple[bytes, bytes]:
    """The PNG and the PDF of a label picture. Raises ValueError for bytes that are no picture."""
    try:
        with Image.open(BytesIO(picture)) as opened:
            if opened.width * opened.height > LARGEST_PIXELS:
                raise ValueError(f"a label of {opened.width} x {opened.height} dots is no label")
            page = _page(opened.convert("L"))
    except (OSError, SyntaxError) as error:  # Pillow's ways to say that it is no picture
        raise ValueError("the label is no picture that can be read") from error
    # Dot for dot, so that bars stay sharp: the page has as many dots to the inch as UPS drew (1400 x 800: 200).
    dots_per_inch = page.width / INCHES[0]
    png, pdf = BytesIO(), BytesIO()
    page.save(png, "PNG", dpi=(dots_per_inch, dots_per_inch), optimize=True)
    # Black and white is kept without loss in a PDF; shades would become a JPEG.
    inked = page.point(lambda dot: WHITE if dot >= INKED_BELOW else 0).convert("1")
    inked.save(pdf, "PDF", resolution=dots_per_inch, creationDate=DATED, modDate=DATED, producer="", title="Label")
    return png.getvalue(), pdf.getvalue()


def _page(label: Image.Image) -> Image.Image:
    """The label upright on white, at the top of a page with the proportions of 4 by 6."""
    if label.width > label.height:
        # Turned by a quarter clockwise.  # source: facts/ups.md 2.6
        label = label.transpose(Image.Transpose.ROTATE_270)
    label = _without_blank_foot(label)
    unit = max(-(-label.width // INCHES[0]), -(-label.height // INCHES[1]))
    page = Image.new("L", (unit * INCHES[0], unit * INCHES[1]), WHITE)
    page.paste(label, ((page.width - label.width) // 2, 0))
    return page


def _without_blank_foot(label: Image.Image) -> Image.Image:
    """UPS's picture is longer than 4 x 6; what is beyond is cut where it is blank, so that bars keep their width."""
    height = label.width * INCHES[1] // INCHES[0]
    if label.height <= height:
        return label
    ink = ImageChops.invert(label).getbbox()
    return label.crop((0, 0, label.width, max(height, ink[3] if ink else 0)))
