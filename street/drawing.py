"""Label images: real GIF, PNG, PDF and ZPL bytes with the number, the bars and the two addresses on them."""

import io
from collections.abc import Sequence
from functools import lru_cache

import segno
from PIL import Image, ImageDraw, ImageFont

WIDTH, HEIGHT = 812, 1218  # 4 x 6 inches at 203 dots


@lru_cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _picture(number: str, lines: Sequence[str]) -> Image.Image:
    image = Image.new("1", (WIDTH, HEIGHT), 1)
    pen = ImageDraw.Draw(image)
    pen.rectangle((8, 8, WIDTH - 9, HEIGHT - 9), outline=0, width=4)
    for row, line in enumerate(lines):
        pen.text((40, 40 + row * 52), line[:44], fill=0, font=_font(34))
    x = 60
    for sign in number:
        for bit in f"{ord(sign):07b}1":
            width = 4 if bit == "1" else 2
            pen.rectangle((x, 760, x + width - 1, 1040), fill=0)
            x += width + 2
            if x > WIDTH - 60:
                break
    pen.text((60, 1070), number, fill=0, font=_font(46))
    return image


def draw(image_format: str, number: str, lines: Sequence[str], *, sideways: bool = False) -> bytes:
    """The label in `gif`, `png`, `jpg`, `tiff`, `pdf` or `zpl`, or the first line alone as `qr`. Raises ValueError."""
    if image_format == "qr":
        code = io.BytesIO()
        segno.make(lines[0], error="m").save(code, kind="png", scale=8)
        return code.getvalue()
    if image_format == "zpl":
        fields = "".join(f"^FO40,{40 + 40 * row}^A0N,30^FD{line}^FS" for row, line in enumerate((*lines, number)))
        return f"^XA{fields}^FO60,760^BCN,280^FD{number}^FS^XZ".encode()
    picture = _picture(number, lines)
    if image_format not in {"gif", "png", "jpg", "tiff", "pdf"}:
        raise ValueError(f"cannot draw {image_format!r}")
    out = io.BytesIO()
    turned = picture.rotate(90, expand=True) if sideways else picture
    turned.save(out, "JPEG" if image_format == "jpg" else image_format.upper(), resolution=203)
    return out.getvalue()
