"""Forms: whole ones give their files and texts, all others a 4xx, whatever their bytes are."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rookery.errors import MalformedRequest, UnsupportedMedia
from rookery.pipeline.picture import Upload
from rookery.serving.forms import LARGEST_TEXT, MOST_PARTS, Form, choose_files, is_form_type, read_form
from rookery.testing.forms import encode_form

KIND = b"multipart/form-data; boundary=b"
FILE = ("dog.jpg", b"\xff\xd8 not\r\n--b\r quite\x00")
BODY, TYPE = encode_form("file", [FILE], {"top_k": 3})


def form(*parts: bytes) -> bytes:
    """Return a form of such parts, each with its headers."""
    return b"".join(b"--b\r\n" + part + b"\r\n" for part in parts) + b"--b--\r\n"


def part(disposition: bytes, content: bytes = b"x", headers: bytes = b"") -> bytes:
    """Return one part."""
    return b"Content-Disposition: " + disposition + b"\r\n" + headers + b"\r\n" + content


def test_files_and_texts_come_in_their_order_with_their_bytes() -> None:
    found = read_form(TYPE.encode(), BODY, field_name="file")
    assert found.files == [("file", Upload(*FILE))]
    assert found.texts == [("top_k", "3")]


@pytest.mark.parametrize("kind", [b"image/png", b"IMAGE/JPEG; q=1", b"application/octet-stream"])
def test_a_body_that_is_the_file_itself_has_no_name(kind: bytes) -> None:
    assert is_form_type(kind)
    assert read_form(kind, b"pixels", field_name="image").files == [("image", Upload(None, b"pixels"))]


def test_no_body_of_no_type_is_an_empty_form() -> None:
    assert read_form(b"", b"", field_name="file") == Form()


@pytest.mark.parametrize("kind", [b"", b"text/plain", b"application/json", b"multipart/mixed; boundary=b", b"image"])
def test_other_types_are_not_read(kind: bytes) -> None:
    assert not is_form_type(kind)
    with pytest.raises(UnsupportedMedia, match="'file'"):
        read_form(kind, b"body", field_name="file")


@pytest.mark.parametrize("options", [b"", b"; boundary=", b'; boundary=""', b"; boundary=" + b"x" * 71, b"; charset=b"])
def test_a_form_without_a_sane_boundary_is_none(options: bytes) -> None:
    with pytest.raises(MalformedRequest, match="boundary"):
        read_form(b"multipart/form-data" + options, BODY, field_name="file")


def test_a_quoted_boundary_is_one() -> None:
    read = read_form(b'Multipart/Form-Data; BOUNDARY="b"', form(part(b'form-data; name="a"')), field_name="file")
    assert read.texts == [("a", "x")]


@pytest.mark.parametrize("cut", range(len(BODY) - 2))
def test_a_form_that_breaks_off_anywhere_is_refused(cut: int) -> None:
    """The very last line break may be missing; nothing else may."""
    with pytest.raises(MalformedRequest):
        read_form(TYPE.encode(), BODY[:cut], field_name="file")


@given(place=st.integers(0, len(BODY) - 1), byte=st.integers(0, 255))
def test_one_wrong_byte_never_crashes_and_never_makes_another_file(place: int, byte: int) -> None:
    """It is refused, or what was changed is the content, a name or a line that is not looked at."""
    spoiled = BODY[:place] + bytes([byte]) + BODY[place + 1 :]
    try:
        found = read_form(TYPE.encode(), spoiled, field_name="file")
    except (MalformedRequest, UnsupportedMedia):
        return
    assert len(found.files) + len(found.texts) <= 2
    assert all(len(upload.data) <= len(BODY) for _, upload in found.files)


@given(body=st.binary(max_size=300), kind=st.binary(max_size=60))
@example(body=b"--b\r\n\r\n\r\n--b--", kind=b"")
@example(body=b"--b--", kind=b"; boundary*=utf-8''b")
@example(body=form(part(b"form-data; name*=utf-16''%ff%fe", b"")), kind=b"")
def test_no_bytes_at_all_crash_the_reader(body: bytes, kind: bytes) -> None:
    for content_type in (KIND + kind, b"multipart/form-data" + kind):
        try:
            read_form(content_type, body, field_name="file")
        except (MalformedRequest, UnsupportedMedia):
            continue


def test_parts_are_limited() -> None:
    texts = [part(b'form-data; name="a"')]
    assert len(read_form(KIND, form(*texts * MOST_PARTS), field_name="file").texts) == MOST_PARTS
    with pytest.raises(MalformedRequest, match=f"more than {MOST_PARTS} parts"):
        read_form(KIND, form(*texts * 5_000), field_name="file")


def test_headers_of_a_part_are_limited() -> None:
    many = b"".join(b"X-%d: 1\r\n" % number for number in range(10_000))
    for headers in (many, b"X: " + b"y" * 100_000 + b"\r\n"):
        with pytest.raises(MalformedRequest):
            read_form(KIND, form(part(b'form-data; name="a"', headers=headers)), field_name="file")


@pytest.mark.parametrize("disposition", [b"form-data", b'attachment; name="a"', b'form-data; name=""', b""])
def test_a_part_without_a_name_is_refused(disposition: bytes) -> None:
    with pytest.raises(MalformedRequest, match="no name"):
        read_form(KIND, form(part(disposition)), field_name="file")


@pytest.mark.parametrize("coding", [b"base64", b"quoted-printable", b"BASE64"])
def test_an_encoded_part_is_refused_and_a_plain_one_is_not(coding: bytes) -> None:
    header = b"Content-Transfer-Encoding: %s\r\n"
    coded = form(part(b'form-data; name="file"; filename="x"', headers=header % coding))
    with pytest.raises(UnsupportedMedia, match="encoded"):
        read_form(KIND, coded, field_name="file")
    plain = form(part(b'form-data; name="file"; filename="x"', headers=header % b"Binary"))
    assert read_form(KIND, plain, field_name="file").files


def test_a_form_within_a_form_is_a_files_content_and_no_form() -> None:
    inner = b'--c\r\nContent-Disposition: form-data; name="file"; filename="y"\r\n\r\ninner\r\n--c--\r\n'
    nested = form(
        part(b'form-data; name="file"; filename="x"', inner, b"Content-Type: multipart/mixed; boundary=c\r\n")
    )
    assert read_form(KIND, nested, field_name="file").files == [("file", Upload("x", inner))]


def test_texts_are_short_and_utf_8() -> None:
    longest = form(part(b'form-data; name="a"', b"x" * LARGEST_TEXT))
    assert read_form(KIND, longest, field_name="file").texts
    for content, message in ((b"x" * (LARGEST_TEXT + 1), "1001 bytes"), (b"\xff\xfe", "no UTF-8")):
        with pytest.raises(MalformedRequest, match=message):
            read_form(KIND, form(part(b'form-data; name="a"', content)), field_name="file")


@pytest.mark.parametrize(
    ("made", "is_batch", "message"),
    [
        (Form(files=[("photo", Upload("x", b""))]), False, "has the file 'photo', expected is 'file'"),
        (Form(texts=[("file", "x.png")]), False, "is a text, not a file"),
        (Form(texts=[("file", "x.png")]), True, "is a text, not a file"),
        (Form(files=[("file", Upload("x", b""))] * 2), False, "2 files were sent, expected is one"),
    ],
)
def test_files_of_other_names_and_numbers_are_refused(made: Form, is_batch: bool, message: str) -> None:
    with pytest.raises(MalformedRequest, match=message):
        choose_files(made, field_name="file", is_batch=is_batch)


def test_the_files_of_the_name_are_chosen() -> None:
    uploads = [Upload("x", b"1"), Upload("y", b"2")]
    several = Form(files=[("file", upload) for upload in uploads])
    assert choose_files(several, field_name="file", is_batch=True) == uploads
    assert choose_files(Form(), field_name="file", is_batch=False) == []
