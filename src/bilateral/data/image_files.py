"""Image files of any common kind, decoded to RGB at one size."""

import io
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from ..base.errors import DataError
from ..base.files import read_bytes
from ..base.memory import check_memory
from .threads import for_each

# HEIC is not readable here, but such a file is an image: it gets an error and is not passed over.
IMAGE_SUFFIXES = {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".bmp", ".webp", ".avif", ".heic", ".heif"}
IMAGE_SUFFIXES |= {".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm"}
# Named one by one because some of Pillow's other formats start a program (EPS starts Ghostscript).
FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "GIF", "BMP", "TIFF", "PPM")
MAX_PIXELS = 89_478_485
"""Largest image that is decoded, as Pillow's own limit against decompression bombs (a quarter of a GiB)."""
MAX_BYTES = 2**29
"""Size of the largest image file that is read."""
_LARGE_FROM = 2**24  # pixels
_LARGE = threading.Lock()
_BAND = 2**22  # pixels


class Encoded(NamedTuple):
    """The bytes of an image file that lie elsewhere, and what to call it."""

    content: bytes
    what: str

    def __str__(self) -> str:
        return self.what


def read_images(files: Sequence[Path | Encoded], image_size: int | None = None, num_workers: int = 0) -> Tensor:
    """Decode N >= 1 files into one uint8 tensor (N, 3, H, W), in their order; each is asked for when it is decoded.

    With `image_size` H = W = image_size (see `read_image`), without it all must have one size.
    `num_workers` threads decode; 0 stands for the calling thread alone.

    Raises DataError, naming the file, for one that cannot be decoded or has another size than the first;
    OutOfMemoryError where there is no room for all.
    """
    first = read_image(files[0], image_size)
    height, width, _ = first.shape
    what = f"reading {len(files):,} images of {width}x{height} pixels"
    check_memory(len(files) * first.size, what, "data.image_size=N makes them smaller")
    images = np.empty((len(files), 3, height, width), dtype=np.uint8)

    def read(index: int) -> None:
        file = files[index]
        image = read_image(file, image_size)
        if image.shape != first.shape:
            raise DataError(
                f"images must have one size: {files[0]} has {width}x{height} pixels, {file} has "
                f"{image.shape[1]}x{image.shape[0]}; data.image_size=N resizes all to NxN"
            )
        images[index] = image.transpose(2, 0, 1)

    for_each(read, range(len(files)), "reading images", num_workers)
    return torch.from_numpy(images)


def read_image(file: Path | Encoded, image_size: int | None = None) -> np.ndarray:
    """Decode one file into uint8 (H, W, 3), as `decode_image` does.

    Raises DataError, naming the file, if it cannot be read or decoded.
    """
    if isinstance(file, Encoded):
        return decode_image(file.content, file.what, image_size)
    try:
        # Reading the whole file at once keeps threads from passing the interpreter's lock to and fro.
        content = read_bytes(file, MAX_BYTES)
    except OSError as error:
        raise DataError(f"cannot read image {file}: {_reason(error)}") from None
    return decode_image(content, str(file), image_size)


def decode_image(content: bytes, what: str, image_size: int | None = None) -> np.ndarray:
    """Decode the bytes of an image file into uint8 (H, W, 3).

    Grey, palette, CMYK and 16-bit images become 8-bit RGB (of 16 bits the upper 8), transparency is laid over
    white, the EXIF orientation is applied, and of an animation the first frame is taken. With `image_size` the
    shorter side is scaled to that many pixels (bicubic, antialiased) and the centred square is kept.

    Raises DataError, naming the image by `what`, if it cannot be decoded or has more than MAX_PIXELS pixels.
    """
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise Image.DecompressionBombError
            if image.width * image.height < _LARGE_FROM:
                return _decode(image, image_size)
            # One at a time, and in a thread that ends: a thread that goes on keeps what it frees for itself.
            with _LARGE, ThreadPoolExecutor(1) as alone:
                pixels = alone.submit(_decode, image, image_size).result()
                image.close()
                return pixels
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        reason = f"it has more than {MAX_PIXELS} pixels"
    except UnidentifiedImageError:
        reason = f"its content is none of {', '.join(FORMATS)}, or is damaged" if content else "it is empty"
    except Exception as error:  # damaged bytes make decoders raise errors of any kind
        reason = _reason(error)
    raise DataError(f"cannot read image {what}: {reason}")


def _decode(image: Image.Image, image_size: int | None) -> np.ndarray:
    if image_size is not None:
        # JPEG can decode at a half or less, much faster; twice the size wanted is left for the scaling.
        image.draft(image.mode, (2 * image_size, 2 * image_size))
    ImageOps.exif_transpose(image, in_place=True)
    rgb = _to_rgb(image)
    if image_size is not None:
        rgb = ImageOps.fit(rgb, (image_size, image_size), Image.Resampling.BICUBIC)
    pixels = np.empty((rgb.height, rgb.width, 3), dtype=np.uint8)
    for box in _bands(rgb):
        pixels[box[1] : box[3]] = np.asarray(rgb.crop(box))
    return pixels


def _bands(image: Image.Image) -> Iterator[tuple[int, int, int, int]]:
    """Give the boxes of bands that are the image together; one by one they take little memory."""
    rows = max(1, _BAND // image.width)
    for top in range(0, image.height, rows):
        yield 0, top, image.width, min(top + rows, image.height)


def _reason(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers of unknown scale; save it with 8 or 16 bits")
    if image.mode.startswith("I"):
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 0xFFFF:
            raise ValueError("its pixels have more than 16 bits; save it with 8 or 16")
        image = Image.fromarray((values >> 8).astype(np.uint8))
    if image.has_transparency_data:
        rgb = Image.new("RGB", image.size)
        for box in _bands(image):
            band = image.crop(box).convert("RGBA")
            band = Image.alpha_composite(Image.new("RGBA", band.size, "white"), band)
            rgb.paste(band.convert("RGB"), box)
        return rgb
    return image if image.mode == "RGB" else image.convert("RGB")
