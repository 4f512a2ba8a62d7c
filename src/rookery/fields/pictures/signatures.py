"""What a file is, told by its first bytes: never by its name or by what the client calls it."""

from __future__ import annotations

import codecs

LONGEST_SIGNATURE = 512
"""Bytes of a file's beginning that are looked at."""

_READABLE = ((b"\xff\xd8\xff", "JPEG"), (b"\x89PNG\r\n\x1a\n", "PNG"), (b"II*\0", "TIFF"), (b"MM\0*", "TIFF"))
_BIG_TIFF = (b"II+\0\x08\0\0\0", b"MM\0+\0\x08\0\0")

_FOREIGN = (
    (b"GIF8", "a GIF file"),
    (b"%!PS", "an EPS file"),
    (b"\xc5\xd0\xd3\xc6", "an EPS file"),
    (b"%PDF", "a PDF file"),
    (b"SIMPLE  =", "a FITS file"),
    (b"\0\0\x01\0", "an ICO file"),
    (b"\0\0\x02\0", "a CUR file"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"PK\x05\x06", "a ZIP archive"),
    (b"\x1f\x8b", "a GZIP archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"8BPS", "a Photoshop file"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 file"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 file"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL file"),
    (b"\xff\x0a", "a JPEG XL file"),
    (b"\x76\x2f\x31\x01", "an OpenEXR file"),
    (b"\x93NUMPY", "a NumPy file"),
    (b"\x89HDF\r\n", "an HDF5 file"),
    (b"qoif", "a QOI file"),
    (b"RIFF", "a sound or video file"),
    (b"ID3", "a sound file"),
    (b"\x1aE\xdf\xa3", "a video file"),
    (b"\x7fELF", "a program"),
)

_BOX_BRANDS = {
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"), "a HEIC file"),
    **dict.fromkeys((b"avif", b"avis"), "an AVIF file"),
}

_MARKUP = (("<!doctype html", "an HTML page"), ("<html", "an HTML page"), ("<svg", "an SVG drawing"))


def find_format(data: bytes) -> str | None:
    """Return `JPEG`, `PNG`, `WEBP` or `TIFF`, or None for anything else."""
    for signature, name in _READABLE:
        if data.startswith(signature):
            return name
    if data.startswith(_BIG_TIFF):
        return "TIFF"
    return "WEBP" if data.startswith(b"RIFF") and data[8:12] == b"WEBP" else None


def describe_file(data: bytes) -> str | None:
    """Return what a file is that is none of the readable formats, such as "a GIF file"; None if nobody knows."""
    if data[4:8] == b"ftyp":
        return _BOX_BRANDS.get(data[8:12], "a video file")
    if data.startswith(b"BM") and data[6:10] == bytes(4):
        return "a BMP file"
    if data[128:132] == b"DICM":
        return "a DICOM file"
    if data[:2] in (b"P1", b"P2", b"P3", b"P4", b"P5", b"P6") and data[2:3].isspace():
        return "a Netpbm file"
    for signature, description in _FOREIGN:
        if data.startswith(signature):
            return description
    return _describe_text(data[:LONGEST_SIGNATURE])


def _describe_text(start: bytes) -> str | None:
    """Return what kind of text a file begins with, or None for bytes that are no text."""
    try:
        # Incremental, because the excerpt may end within a character.
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(start).lstrip()
    except UnicodeDecodeError:
        return None
    if not text or any(character < " " and not character.isspace() for character in text):
        return None
    lower = text.lower()
    for tag, description in _MARKUP:
        if lower.startswith(tag) or (lower.startswith(("<?xml", "<!--", "<!doctype")) and tag in lower):
            return description
    if lower.startswith("data:image/"):
        return "a data URL"
    return "a text file"
