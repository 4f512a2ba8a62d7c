"""Decoding: the pixels that plain Pillow gives, or an error; never a part of a picture."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
from PIL import Image as Pillow
from PIL import ImageFile

from rookery.errors import InvalidPicture
from rookery.fields.pictures.decode import Pixels, decode_picture
from rookery.fields.pictures.header import read_header
from rookery.fields.pictures.spec import Image
from tests.fields.pictures.samples import ANY, encode, exif, picture, png, png_chunk, reference_rgb

GREY = Image(mode="L", formats=ANY.formats)
RAMP_16 = np.arange(65_536, dtype=np.uint16).reshape(256, 256)


def decode(data: bytes, spec: Image = ANY, *, at_least: tuple[int, int] | None = None) -> Pixels:
    return decode_picture(data, read_header(data, spec), spec, at_least=at_least)


FILES = {
    "JPEG 4:4:4": encode(picture(61, 47), "JPEG", subsampling=0),
    "JPEG 4:2:2": encode(picture(61, 47), "JPEG", subsampling=1),
    "JPEG 4:2:0": encode(picture(61, 47), "JPEG", subsampling=2),
    "JPEG progressive": encode(picture(61, 47), "JPEG", progressive=True),
    "JPEG restarts": encode(picture(61, 47), "JPEG", restart_marker_blocks=2),
    "JPEG grey": encode(picture(61, 47).convert("L"), "JPEG"),
    "JPEG CMYK": encode(picture(61, 47).convert("CMYK"), "JPEG"),
    "JPEG RGB": encode(picture(61, 47), "JPEG", keep_rgb=True),
    "PNG": encode(picture(61, 47), "PNG"),
    "PNG grey": encode(picture(61, 47).convert("L"), "PNG"),
    "PNG 1 bit": encode(picture(61, 47).convert("1"), "PNG"),
    "PNG palette": encode(picture(61, 47).quantize(200), "PNG"),
    "PNG 2 bit palette": encode(picture(61, 47).quantize(4), "PNG", bits=2),
    "WebP": encode(picture(61, 47), "WEBP"),
    "WebP lossless": encode(picture(61, 47), "WEBP", lossless=True),
    "TIFF": encode(picture(61, 47), "TIFF"),
    "TIFF LZW": encode(picture(61, 47), "TIFF", compression="tiff_lzw"),
    "TIFF Deflate": encode(picture(61, 47), "TIFF", compression="tiff_adobe_deflate"),
    "TIFF JPEG": encode(picture(61, 47), "TIFF", compression="jpeg"),
    "TIFF fax": encode(picture(61, 47).convert("1"), "TIFF", compression="group4"),
    "TIFF CMYK": encode(picture(61, 47).convert("CMYK"), "TIFF"),
    "TIFF palette": encode(picture(61, 47).quantize(64), "TIFF"),
    "TIFF big": encode(picture(61, 47), "TIFF", big_tiff=True),
}


@pytest.mark.parametrize("name", FILES)
def test_pixels_equal_those_of_plain_pillow(name: str) -> None:
    """Bit by bit, whichever decoder reads them."""
    pixels = decode(FILES[name])
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels, reference_rgb(FILES[name]))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("form", "mode"),
    [("JPEG", "RGB"), ("JPEG", "CMYK"), ("PNG", "RGB"), ("WEBP", "RGB"), ("TIFF", "RGB"), ("TIFF", "CMYK")],
)
def test_pictures_are_turned_upright(form: str, mode: str, orientation: int) -> None:
    options = {"tiffinfo": {274: orientation}} if form == "TIFF" else {"exif": exif(orientation, "<")}
    data = encode(picture(61, 47).convert(mode), form, **options)
    np.testing.assert_array_equal(decode(data), reference_rgb(data))


def test_real_photographs_equal_plain_pillow(pictures: Path) -> None:
    for name in ("dog.jpg", "cat.jpg", "kitten.png"):
        data = (pictures / name).read_bytes()
        np.testing.assert_array_equal(decode(data), reference_rgb(data))


@pytest.mark.parametrize("name", [name for name in FILES if not name.startswith("JPEG")])
def test_grey_is_the_weighted_mean_of_the_colours(name: str) -> None:
    """As Pillow weighs them."""
    expected = np.asarray(Pillow.open(io.BytesIO(FILES[name])).convert("L"))
    np.testing.assert_allclose(decode(FILES[name], GREY), expected, atol=1)


def test_grey_of_a_jpeg_is_the_brightness_it_holds() -> None:
    """As OpenCV and Pillow's draft mode read it; nothing is converted to colour and back."""
    draft = Pillow.open(io.BytesIO(FILES["JPEG 4:2:0"]))
    draft.draft("L", draft.size)
    np.testing.assert_array_equal(decode(FILES["JPEG 4:2:0"], GREY), np.asarray(draft))


def test_16_bits_are_scaled_and_not_clipped() -> None:
    """65,535 becomes 255 and all between is divided by 257 and rounded, in PNG and TIFF alike."""
    expected = np.rint(RAMP_16 / 257).astype(np.uint8)
    for form in ("PNG", "TIFF"):
        data = encode(Pillow.fromarray(RAMP_16), form)
        np.testing.assert_array_equal(decode(data, GREY), expected)
        np.testing.assert_array_equal(decode(data)[..., 1], expected)


def test_16_bits_per_colour_become_their_upper_8() -> None:
    rows = b"".join(b"\0" + struct_row for struct_row in (bytes([200, 255, 100, 0, 50, 7]) * 2,) * 2)
    assert decode(png(2, 2, rows, bits=16)).tolist() == [[[200, 100, 50]] * 2] * 2


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "P"])
def test_transparent_parts_lie_on_white(mode: str) -> None:
    """A half-transparent black is grey, a fully transparent one white."""
    alpha = Pillow.fromarray(np.array([[255, 128, 0]], dtype=np.uint8))
    black = Pillow.new("RGBA", (3, 1))
    black.putalpha(alpha)
    data = encode(black.convert(mode), "PNG") if mode in ("RGBA", "LA") else _palette_with_transparency()
    assert decode(data, GREY).tolist() == [[0, 127, 255]]
    assert decode(data)[..., 0].tolist() == [[0, 127, 255]]


def _palette_with_transparency() -> bytes:
    extra = png_chunk(b"PLTE", bytes(9)) + png_chunk(b"tRNS", bytes([255, 128, 0]))
    return png(3, 1, b"\0\0\1\2", colour=3, extra=extra)


def test_a_transparent_colour_lies_on_white() -> None:
    """PNG may name one colour that is not there."""
    data = png(2, 1, b"\0" + bytes([9, 9, 9, 8, 8, 8]), extra=png_chunk(b"tRNS", bytes([0, 9, 0, 9, 0, 9])))
    assert decode(data).tolist() == [[[255, 255, 255], [8, 8, 8]]]


def test_floats_are_0_to_1_or_0_to_255() -> None:
    low = encode(Pillow.fromarray(np.array([[0, 0.5, 1]], dtype=np.float32)), "TIFF")
    high = encode(Pillow.fromarray(np.array([[0, 127.6, 255]], dtype=np.float32)), "TIFF")
    assert decode(low, GREY).tolist() == [[0, 128, 255]]
    assert decode(high, GREY).tolist() == [[0, 128, 255]]


@pytest.mark.parametrize("value", [-1.0, 256.0, np.nan, np.inf])
def test_other_floats_are_refused(value: float) -> None:
    data = encode(Pillow.fromarray(np.array([[0, value]], dtype=np.float32)), "TIFF")
    with pytest.raises(InvalidPicture, match="0 to 255"):
        decode(data)


def test_whole_numbers_of_32_bits_are_refused() -> None:
    data = encode(Pillow.fromarray(np.array([[0, 70_000]], dtype=np.int32)), "TIFF")
    with pytest.raises(InvalidPicture, match=r"not read.*Save it as 8-bit RGB"):
        decode(data)


@pytest.mark.parametrize("name", ["JPEG 4:2:0", "JPEG progressive", "JPEG CMYK", "PNG", "WebP", "TIFF", "TIFF LZW"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_file_that_ends_early_is_refused(name: str, share: float) -> None:
    """Never is a part of a picture taken for the whole."""
    with pytest.raises(InvalidPicture, match=r"ends early|damaged"):
        decode(FILES[name][: int(len(FILES[name]) * share)])


def test_a_jpeg_that_was_cut_and_closed_is_refused() -> None:
    """Most decoders fill the rest with grey."""
    data = FILES["JPEG 4:2:0"]
    with pytest.raises(InvalidPicture, match=r"the file ends early. Send it again, whole"):
        decode(data[: len(data) // 2] + b"\xff\xd9")


@pytest.mark.parametrize("rows", [0, 1, 20, 50, 98, 99])
@pytest.mark.parametrize("value", [b"\0", b"\x07"])
def test_a_png_with_too_few_rows_is_refused(rows: int, value: bytes) -> None:
    """Its compressed data may end properly and still be too short."""
    with pytest.raises(InvalidPicture, match="ends early"):
        decode(png(100, 100, (b"\0" + value * 300) * rows))


@pytest.mark.parametrize("height", [1, 2, 7, 8])
def test_an_interlaced_png_with_too_few_rows_is_refused(height: int) -> None:
    """Its rows come in seven passes, so that the last to come is not the lowest."""
    passes = (0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)
    whole = b"".join(
        (b"\0" + b"\x09" * -(-(8 - left) // across)) * -(-(height - top) // down)
        for left, top, across, down in passes
        if height > top
    )
    assert (decode(png(8, height, whole, colour=0, interlaced=True), GREY) == 9).all()
    with pytest.raises(InvalidPicture, match="ends early"):
        decode(png(8, height, whole[:-5], colour=0, interlaced=True), GREY)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA"])
def test_a_black_png_is_whole(mode: str) -> None:
    """Rows that are black by themselves are not taken for missing ones."""
    assert decode(encode(Pillow.new(mode, (50, 50)), "PNG"), ANY).shape == (50, 50, 3)


def test_truncated_files_stay_refused_when_another_library_allows_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    with pytest.raises(InvalidPicture):
        decode(FILES["PNG"][:-600])


def test_bytes_between_and_behind_are_no_fault() -> None:
    """Cameras write them; every pixel is there."""
    data = FILES["JPEG 4:2:0"]
    for odd in (data + b"rubbish" * 9, data[:-2] + b"abc" + data[-2:]):
        np.testing.assert_array_equal(decode(odd), reference_rgb(data))


def rare_jpeg(blocks_missing: int = 0) -> bytes:
    """A grey JPEG of 16 x 32 whose second colour alone has half the height, a subsampling without a name.

    Each of its four units has two blocks of brightness, one and two of colour, all equal to the one before:
    `00 1010` is such a block in the usual code of brightness, `00 00` in that of colour.
    """
    plain = encode(Pillow.new("RGB", (16, 32), (128, 128, 128)), "JPEG", subsampling=0)
    frame, scan = plain.index(b"\xff\xc0") + 11, plain.index(b"\xff\xda") + 14
    factors = (
        bytes([0x12]) + plain[frame + 1 : frame + 3] + bytes([0x11]) + plain[frame + 4 : frame + 6] + bytes([0x12])
    )
    blocks = ["001010", "001010", "0000", "0000", "0000"] * 4
    bits = "".join(blocks[: len(blocks) - blocks_missing])
    bits += "1" * (-len(bits) % 8)
    code = bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits), 8)).replace(b"\xff", b"\xff\0")
    return plain[:frame] + factors + plain[frame + 7 : scan] + code + b"\xff\xd9"


def test_rare_subsampling_is_read_by_the_other_decoder() -> None:
    """What libjpeg-turbo's quick interface has no name for is read by Pillow, and its end is watched all the same."""
    data = rare_jpeg()
    with pytest.raises(ValueError, match="subsampling"):
        simplejpeg.decode_jpeg(data)
    assert (decode(data) == 128).all()
    assert decode(data).shape == (32, 16, 3)
    for missing in (3, 6, 19):
        with pytest.raises(InvalidPicture, match="ends early"):
            decode(rare_jpeg(missing))


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize(
    ("at_least", "factor"),
    [((640, 480), 1), ((321, 240), 1), ((320, 240), 2), ((200, 200), 2), ((160, 120), 4), ((80, 60), 8), ((1, 1), 8)],
)
def test_a_jpeg_shrinks_to_what_is_enough(at_least: tuple[int, int], factor: int, orientation: int) -> None:
    """By a half, a quarter or an eighth, and never below; `at_least` is meant upright."""
    size = (480, 640) if orientation == 6 else (640, 480)
    data = encode(picture(*size), "JPEG", exif=exif(orientation))
    assert decode(data, at_least=at_least).shape == (480 // factor, 640 // factor, 3)


def test_only_jpegs_shrink() -> None:
    assert decode(encode(picture(64, 48), "PNG"), at_least=(1, 1)).shape == (48, 64, 3)
