"""Opening an image that somebody else has made: PNG or JPEG alone, and of a sensible size."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

from winnow.errors import UserError

if TYPE_CHECKING:
    from PIL.Image import Image

IMAGE_FORMATS = ("PNG", "JPEG")
"""All that is decoded. Pillow knows some forty more, and for EPS it starts Ghostscript."""

MOST_PIXELS = 89_478_485
"""An image may have so many: Pillow's own limit, from which on it warns of a decompression bomb."""


@contextlib.contextmanager
def opened_picture(file: BinaryIO, where: str) -> Iterator[Image]:
    """The image in a file, not yet decoded; what reads its pixels belongs inside.

    ``where`` begins each error. UserError: another format, damage, or more than `MOST_PIXELS`, told
    from the header before memory is taken for them.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(file, formats=IMAGE_FORMATS) as image:
            if image.width * image.height > MOST_PIXELS:
                raise Image.DecompressionBombError
            yield image
    except UserError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise UserError(
            f"{where} cannot be decoded: it has more than {MOST_PIXELS:,} pixels, as a "
            "decompression bomb has. Make it smaller, or remove it."
        ) from None
    except UnidentifiedImageError as error:
        raise UserError(
            f"{where} cannot be decoded: it is neither PNG nor JPEG, or it is damaged. Convert it, "
            "or get a fresh copy."
        ) from error
    except Exception as error:  # PIL raises many kinds on damaged bytes: OSError, SyntaxError, ...
        raise UserError(
            f"{where} cannot be decoded ({type(error).__name__}). The file is damaged; get a "
            "fresh copy."
        ) from error
