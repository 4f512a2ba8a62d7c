"""Forms for tests: files and texts as the body of a multipart request (RFC 7578)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

BOUNDARY = "rookery-test-7f3d1c9a5e"

File = tuple[str, bytes]
"""A file's name and its content."""


def encode_form(field: str, files: Sequence[File], texts: Mapping[str, object] | None = None) -> tuple[bytes, str]:
    """Return a form's body and its content type: every file as a part named `field`, then the texts."""
    parts = [
        f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="{field}"; filename="{name}"\r\n\r\n'.encode()
        + content
        + b"\r\n"
        for name, content in files
    ]
    parts += [
        f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in (texts or {}).items()
    ]
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode(), f"multipart/form-data; boundary={BOUNDARY}"
