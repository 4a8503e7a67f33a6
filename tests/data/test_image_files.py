import io
import os
import struct
import subprocess
import sys
import tracemalloc
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from bilateral.base import memory
from bilateral.base.errors import DataError, OutOfMemoryError
from bilateral.data import image_files
from bilateral.data.image_files import decode_image, read_image, read_images
from data.strange import STRANGE, make_strange

sides = st.integers(1, 9)
colour_images = st.tuples(sides, sides).flatmap(lambda size: arrays(np.uint8, (*size, 3)))
grey_images = st.tuples(sides, sides).flatmap(lambda size: arrays(np.uint8, size))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("images")


def colours(height: int = 6, width: int = 4) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def save(image: Image.Image, path: Path, **options) -> Path:
    image.save(path, **options)
    return path


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif", "a.ppm", "a.webp", "A.PNG", "png inside.jpg"])
@settings(deadline=None)
@given(pixels=colour_images)
def test_colour_is_read_exactly(folder, name, pixels):
    form = "png" if name.endswith("jpg") else None
    path = save(Image.fromarray(pixels), folder / name, format=form, **({"lossless": True} if "webp" in name else {}))
    assert np.array_equal(read_image(path), pixels)


@pytest.mark.parametrize("mode", ["L", "1", "P", "LA", "RGBA", "PA"])
@settings(deadline=None)
@given(grey=grey_images)
def test_other_modes_without_transparency_keep_their_pixels(folder, mode, grey):
    image = Image.fromarray(grey)
    if mode == "1":
        image = image.point(lambda value: 255 * (value > 127), "1")
    elif mode == "PA":
        image = image.convert("P").convert("PA")
    else:
        image = image.convert(mode)
    path = save(image, folder / f"mode.{'tif' if mode == 'PA' else 'png'}")
    expected = 255 * (grey > 127) if mode == "1" else grey
    assert np.array_equal(read_image(path), np.stack([expected] * 3, axis=-1))


@settings(deadline=None)
@given(grey=st.tuples(sides, sides).flatmap(lambda size: arrays(np.uint16, size)))
@pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
def test_16_bit_grey_keeps_its_upper_8(folder, suffix, grey):
    path = save(Image.fromarray(grey), folder / f"deep.{suffix}")
    assert np.array_equal(read_image(path)[..., 1], grey >> 8)


def test_transparency_is_laid_over_white(tmp_path):
    pixels = np.array([[[10, 20, 30, 255], [10, 20, 30, 0], [0, 0, 0, 128]]], dtype=np.uint8)
    image = read_image(save(Image.fromarray(pixels), tmp_path / "a.png"))
    assert image[0, 0].tolist() == [10, 20, 30]
    assert image[0, 1].tolist() == [255, 255, 255]
    assert image[0, 2].tolist() == [127, 127, 127]


@pytest.mark.parametrize("mode", ["L", "P", "RGB"])
def test_a_transparent_colour_becomes_white(tmp_path, mode):
    image = Image.new("L", (2, 1))
    image.putpixel((1, 0), 90)
    transparent = 0 if mode != "RGB" else (0, 0, 0)
    path = save(image.convert(mode), tmp_path / "a.png", transparency=transparent)
    assert read_image(path)[0, :, 0].tolist() == [255, 90]


def test_cmyk_becomes_rgb(tmp_path):
    inks = np.array([[[0, 0, 0, 0], [0, 0, 0, 255], [255, 0, 0, 0]]], dtype=np.uint8)
    image = read_image(save(Image.fromarray(inks, "CMYK"), tmp_path / "a.tif"))
    assert image[0].tolist() == [[255, 255, 255], [0, 0, 0], [0, 255, 255]]


@pytest.mark.parametrize(
    ("orientation", "upright"),
    [
        (1, lambda stored: stored),
        (2, np.fliplr),
        (3, lambda stored: np.rot90(stored, 2)),
        (4, np.flipud),
        (5, lambda stored: stored.transpose(1, 0, 2)),
        (6, lambda stored: np.rot90(stored, -1)),
        (7, lambda stored: np.rot90(stored, 2).transpose(1, 0, 2)),
        (8, np.rot90),
    ],
)
def test_exif_orientation_is_applied(tmp_path, orientation, upright):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(Image.fromarray(colours()), tmp_path / "a.png", exif=exif)
    assert np.array_equal(read_image(path), upright(colours()))


def test_first_frame_of_an_animation(tmp_path):
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    path = save(frames[0], tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert (read_image(path) == [255, 0, 0]).all()


def test_resizing_keeps_the_centred_square(tmp_path):
    stripes = np.zeros((20, 60, 3), dtype=np.uint8)
    for channel in range(3):
        stripes[:, 20 * channel : 20 * channel + 20, channel] = 200
    for name, pixels in (("wide", stripes), ("tall", stripes.transpose(1, 0, 2))):
        image = read_image(save(Image.fromarray(pixels), tmp_path / f"{name}.png"), image_size=8)
        assert image.shape == (8, 8, 3)
        assert (image[2:-2, 2:-2] == [0, 200, 0]).all()
        assert (image[..., 1] > 150).all()


def test_resizing_is_antialiased_and_leaves_the_right_size_alone(tmp_path):
    board = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    path = save(Image.fromarray(board), tmp_path / "board.png")
    assert np.abs(read_image(path, image_size=16).astype(int) - 127).max() <= 2
    assert np.array_equal(read_image(path, image_size=64)[..., 0], board)


def test_a_large_jpeg_is_resized_as_a_png_of_it(tmp_path):
    image = Image.fromarray(colours(150, 200)).resize((800, 600), Image.Resampling.BICUBIC)
    jpeg, png = save(image, tmp_path / "a.jpg", quality=95, subsampling=0), save(image, tmp_path / "a.png")
    for size in (256, 64, 16):
        difference = np.abs(read_image(jpeg, size).astype(int) - read_image(png, size))
        assert difference.mean() < 2


def truncated(name: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(colours(40, 40)).save(file, name)
    return file.getvalue()[:-200]


def header_only(width: int, height: int) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is empty"),
        (b"not an image", "none of PNG, JPEG"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n", "none of PNG, JPEG"),
        (truncated("PNG"), "truncated"),
        (truncated("JPEG"), "truncated"),
        (header_only(30_000, 30_000), "more than 89478485 pixels"),
    ],
)
def test_unreadable_files_are_named(tmp_path, content, reason):
    path = tmp_path / "broken.png"
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"cannot read image .*broken\.png: .*{reason}"):
        read_image(path)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_an_image_just_too_large_is_refused(tmp_path):
    path = tmp_path / "bomb.png"
    path.write_bytes(header_only(10_000, 10_000))
    with pytest.raises(DataError, match=r"bomb\.png: it has more than 89478485 pixels"):
        read_image(path)


def test_what_is_no_file_is_named(tmp_path):
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    for name in ("folder.png", "loop.png", "absent.png"):
        with pytest.raises(DataError, match=f"cannot read image .*{name}"):
            read_image(tmp_path / name)


@pytest.mark.parametrize("values", [np.array([[0.5]], dtype=np.float32), np.array([[70_000]], dtype=np.int32)])
def test_numbers_of_unknown_scale_are_refused(tmp_path, values):
    path = save(Image.fromarray(values), tmp_path / "numbers.tif")
    with pytest.raises(DataError, match=r"numbers\.tif.*save it with 8 or 16"):
        read_image(path)


@pytest.mark.parametrize("num_workers", [0, 3])
def test_images_come_in_the_order_of_their_files(tmp_path, num_workers):
    pixels = np.random.default_rng(1).integers(0, 256, (300, 5, 7, 3), dtype=np.uint8)
    files = [save(Image.fromarray(image), tmp_path / f"{index}.png") for index, image in enumerate(pixels)]
    images = read_images(files, num_workers=num_workers)
    assert np.array_equal(images.numpy(), pixels.transpose(0, 3, 1, 2))


def test_images_of_several_sizes_need_image_size(tmp_path):
    files = [
        save(Image.new("RGB", (8, 8)), tmp_path / "small.png"),
        save(Image.new("RGB", (9, 8)), tmp_path / "large.png"),
    ]
    with pytest.raises(DataError, match=r"small\.png has 8x8 pixels, .*large\.png has 9x8; data\.image_size=N"):
        read_images(files)
    assert read_images(files, image_size=8).shape == (2, 3, 8, 8)


def test_images_beyond_memory_are_refused_before_it_is_taken(tmp_path, monkeypatch):
    path = save(Image.new("RGB", (1024, 1024)), tmp_path / "a.png")
    monkeypatch.setattr(memory, "available_bytes", lambda: 3_000_000_000)
    with pytest.raises(
        OutOfMemoryError, match=r"reading 1,024 images of 1024x1024 pixels needs 3\.2 GB .*data\.image_size"
    ):
        read_images([path] * 1024)


@pytest.mark.slow
def test_large_images_are_decoded_one_at_a_time_and_take_little_more_than_their_pixels(tmp_path):
    file = save(Image.new("RGBA", (4200, 4200)), tmp_path / "a.png")
    code = "import sys, resource; from pathlib import Path; from bilateral.data import image_files, threads\n"
    code += "before, threads._CHUNK = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, 1\n"
    code += "image_files.read_images([Path(sys.argv[1])] * 4, 32, num_workers=4)\n"
    code += "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    done = subprocess.run([sys.executable, "-c", code, file], capture_output=True, text=True, check=True)
    assert int(done.stdout) * 1024 < 20 * 4200**2


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P", "L"])
def test_bands_change_no_pixel(tmp_path, monkeypatch, mode):
    noise = np.random.default_rng(0).integers(0, 256, (9, 7, 4), dtype=np.uint8)
    path = save(Image.fromarray(noise).convert(mode), tmp_path / "a.png")
    whole = read_image(path)
    monkeypatch.setattr(image_files, "_BAND", 20)
    assert np.array_equal(read_image(path), whole)


@pytest.mark.parametrize("place", STRANGE)
def test_pipes_devices_and_sockets_are_refused_at_once(tmp_path, place):
    file = make_strange(tmp_path / "a.png", place)
    with pytest.raises(DataError, match=r"cannot read image .*a\.png: it is a pipe, a device or a socket"):
        read_image(file)


def test_a_file_that_is_far_too_large_is_not_read(tmp_path):
    with (tmp_path / "a.png").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(DataError, match=r"a\.png: it has more than 536,870,912 bytes"):
        read_image(tmp_path / "a.png")


def test_a_file_name_that_is_no_text_is_a_name_as_any_other(tmp_path):
    file = tmp_path / os.fsdecode(b"caf\xe9.png")
    Image.fromarray(colours()).save(file)
    assert np.array_equal(read_image(file), colours())


def png(*chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of one black pixel with more chunks."""
    every = [(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)), *chunks, (b"IDAT", zlib.compress(bytes(4)))]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in [*every, (b"IEND", b"")]
    )


BOMB = zlib.compress(bytes(2**28), 9)


@pytest.mark.parametrize(
    "chunk", [(b"zTXt", b"a\0\0" + BOMB), (b"iTXt", b"a\0\1\0\0\0" + BOMB), (b"iCCP", b"a\0\0" + BOMB)]
)
def test_bombs_beside_the_pixels_are_not_unpacked(chunk):
    tracemalloc.start()
    try:
        with suppress(DataError):
            assert decode_image(png(chunk), "it").shape == (1, 1, 3)
        assert tracemalloc.get_traced_memory()[1] < 2**25
    finally:
        tracemalloc.stop()
