"""Files that are made, or damaged, to do harm: they are refused, soon, and in a few words."""

from __future__ import annotations

import io
import re
import struct
import subprocess
import sys
import textwrap
import time
import warnings
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from rookery.errors import InvalidPicture
from rookery.fields.pictures.decode import _ignore_warnings
from rookery.fields.pictures.fit import prepare_picture
from rookery.fields.pictures.header import read_header
from rookery.fields.pictures.jpeg import MOST_SCANS
from rookery.fields.pictures.spec import Image
from tests.fields.pictures.samples import ANY, encode, exif, picture, png_chunk, tiff, webp

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL.*")  # pytest takes back the decoder's own filter

SMALL = Image(width=16, height=16, formats=ANY.formats, max_pixels=100_000)
TRACE = Image(width=8, height=8, mode="L", fit="trace", formats=ANY.formats, max_pixels=100_000)
FILES = {
    "JPEG": encode(picture(41, 33), "JPEG", exif=exif(6)),
    "JPEG progressive": encode(picture(41, 33), "JPEG", progressive=True),
    "JPEG CMYK": encode(picture(41, 33).convert("CMYK"), "JPEG"),
    "PNG": encode(picture(41, 33), "PNG", exif=exif(3)),
    "PNG palette": encode(picture(41, 33).quantize(20), "PNG", transparency=3),
    "PNG 16 bits": encode(Pillow.fromarray(np.arange(1353, dtype=np.uint16).reshape(33, 41) * 40), "PNG"),
    "WebP": encode(picture(41, 33), "WEBP", exif=exif(5)),
    "WebP lossless": encode(picture(41, 33), "WEBP", lossless=True),
    "TIFF": encode(picture(41, 33), "TIFF"),
    "TIFF LZW": encode(picture(41, 33), "TIFF", compression="tiff_lzw", tiffinfo={274: 6}),
    "TIFF Deflate": encode(picture(41, 33), "TIFF", compression="tiff_adobe_deflate"),
    "TIFF JPEG": encode(picture(41, 33), "TIFF", compression="jpeg"),
    "TIFF fax": encode(picture(41, 33).convert("1"), "TIFF", compression="group4"),
    "TIFF float": encode(Pillow.fromarray(np.linspace(0, 1, 1353, dtype=np.float32).reshape(33, 41)), "TIFF"),
}
REVEALING = re.compile(r"0x[0-9a-f]{6}|/|\.py|PIL|[Pp]illow|libjpeg|simplejpeg|turbo|Traceback|object at|<_io")


def attempt(data: bytes, spec: Image = SMALL) -> str:
    """Read a file to its end; return what it was refused for, or nothing. Anything but a refusal fails the test."""
    message, start = "", time.perf_counter()
    try:
        pixels = prepare_picture(data, read_header(data, spec), spec)
    except InvalidPicture as error:
        message = str(error)
    else:
        assert pixels.dtype == np.uint8
        assert spec.shape is None or pixels.shape == spec.shape
    assert time.perf_counter() - start < 5
    assert not REVEALING.search(message), message
    return message


@pytest.mark.parametrize("name", FILES)
def test_the_files_to_be_damaged_are_valid(name: str) -> None:
    assert attempt(FILES[name]) == ""


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300))
def test_rubbish_is_refused(data: bytes) -> None:
    assert attempt(data)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from([b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\x50\0\0\0WEBPVP8X", b"II*\0\x08\0\0\0"]), st.binary()
)
def test_rubbish_that_begins_like_a_picture_is_refused(start: bytes, rest: bytes) -> None:
    assert attempt(start + rest)


@pytest.mark.parametrize("name", FILES)
def test_a_file_may_end_anywhere(name: str) -> None:
    """Every length of the first 200 bytes, and two hundred beyond."""
    data = FILES[name]
    for length in sorted({*range(200), *range(200, len(data), max(1, len(data) // 200))}):
        attempt(data[:length])


@settings(max_examples=1_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(sorted(FILES)),
    st.lists(st.tuples(st.floats(0, 1), st.integers(1, 255)), min_size=1, max_size=6),
    st.booleans(),
)
def test_flipped_bits_do_no_harm(name: str, flips: list[tuple[float, int]], at_the_start: bool) -> None:
    """In the first 200 bytes, where structure is, or anywhere; the picture is read or refused."""
    damaged = bytearray(FILES[name])
    reach = min(200, len(damaged)) if at_the_start else len(damaged)
    for where, bits in flips:
        damaged[int(where * (reach - 1))] ^= bits
    attempt(bytes(damaged))
    attempt(bytes(damaged), TRACE)


@pytest.mark.parametrize("position", range(8, 33))
def test_a_png_header_may_say_anything(position: int) -> None:
    """With a checksum that fits."""
    for value in (0, 1, 2, 3, 127, 255):
        damaged = bytearray(FILES["PNG"])
        damaged[position] = value
        damaged[29:33] = struct.pack(">I", zlib.crc32(bytes(damaged[12:29])))
        attempt(bytes(damaged))


def test_progressive_scans_are_counted() -> None:
    """Each scan of a few bytes costs a pass over the whole picture."""
    data = encode(picture(400, 400), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    bomb = data[:last] + data[last:-2] * (MOST_SCANS + 1) + b"\xff\xd9"
    assert attempt(bomb, ANY) == f"this JPEG has more than {MOST_SCANS} scans. Save it as a baseline JPEG"


def test_a_compressed_text_in_a_png_is_not_unpacked_without_end() -> None:
    text = png_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(200_000_000), 9))
    start = time.perf_counter()
    data = FILES["PNG"]
    attempt(data[:33] + text + data[33:], ANY)
    assert time.perf_counter() - start < 1


def bombs() -> dict[str, bytes]:
    """Small files that claim to be 60,000 x 60,000 pixels, or tiles of that size."""
    packer = zlib.compressobj(9)
    pixels = b"".join(packer.compress(bytes(1_000_000)) for _ in range(20)) + packer.flush()
    head = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0))
    page = {256: (1, 64), 257: (1, 64), 258: (1, 8), 259: (1, 8), 262: (1, 1), 277: (1, 1)}
    tags = dict.fromkeys(range(60_000, 60_400), (50_000, 8))
    return {
        "PNG": b"\x89PNG\r\n\x1a\n" + head + png_chunk(b"IDAT", pixels) + png_chunk(b"IEND", b""),
        "WebP": webp(b"VP8X", bytes(4) + (60_000 - 1).to_bytes(3, "little") * 2 + bytes(12)),
        "WebP lossless": webp(b"VP8L", b"\x2f" + (16_383 | 16_383 << 14).to_bytes(4, "little") + bytes(20)),
        "TIFF": tiff({**page, 256: (1, 60_000), 257: (1, 60_000)}),
        "TIFF tile": tiff({**page, 322: (1, 60_000), 323: (1, 60_000), 324: (1, 8), 325: (1, 9)}),
        "TIFF tags": tiff({**page, **tags, 273: (1, 8)}, tail=bytes(200_000)),
    }


@pytest.mark.parametrize("name", bombs())
def test_a_bomb_is_refused_with_flat_memory(name: str) -> None:
    """In a process of its own: its peak grows by less than 8 MB, and it takes less than a tenth of a second."""
    bomb = bombs()[name]
    assert len(bomb) < 300_000
    script = textwrap.dedent(
        """
        import io, resource, sys, time
        from rookery.errors import InvalidPicture
        from rookery.fields.pictures.fit import prepare_picture
        from rookery.fields.pictures.header import read_header
        from rookery.fields.pictures.spec import Image
        spec = Image(width=224, height=224, formats=("JPEG", "PNG", "WEBP", "TIFF"))
        data = sys.stdin.buffer.read()
        before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
        try:
            prepare_picture(data, read_header(data, spec), spec)
        except InvalidPicture:
            seconds = time.perf_counter() - start
            print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, seconds)
        """
    )
    done = subprocess.run([sys.executable, "-c", script], input=bomb, capture_output=True, check=True)
    assert done.stdout, "it was not refused"
    kilobytes, seconds = done.stdout.split()
    assert int(kilobytes) < 8_000
    assert float(seconds) < 0.1


def test_refusals_leave_no_trace_on_the_console(capfd: pytest.CaptureFixture[str]) -> None:
    """A server's output is its log. (The decoder of compressed TIFFs prints a line about a damaged strip.)"""
    for data in (FILES[name] for name in FILES if not name.startswith("TIFF")):
        for length in (len(data) // 2, len(data) - 20):
            attempt(data[:length])
    assert capfd.readouterr() == ("", "")


def test_odd_metadata_leave_no_warnings_behind() -> None:
    """Python keeps each distinct warning for good, and a client could make up new ones for ever."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        _ignore_warnings.cache_clear()
        for count in (177, 198):
            odd = bytearray(FILES["TIFF"])
            odd[odd.index(struct.pack("<HHI", 284, 3, 1)) + 4] = count
            attempt(bytes(odd))
    assert caught == []


def test_pictures_are_read_without_their_name() -> None:
    """A GIF that is called a PNG is still a GIF."""
    gif = io.BytesIO()
    picture(9, 9).save(gif, "GIF")
    assert attempt(gif.getvalue(), Image(formats=("PNG",))) == "this is a GIF file. Send PNG"
