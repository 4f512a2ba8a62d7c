"""Digests, and the canonical JSON that keeps them stable."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from rookery.errors import PackageError

CONTENT_FILES = ("model.onnx", "profile.json", "golden.jsonl")
"""The files that make a package's content: what it answers, from what data, and how that is known."""


def canonical_json(value: Any) -> bytes:
    """Return a value as UTF-8 JSON in the one form its digest is taken from: sorted keys, no spaces, no NaN.

    Floats are written as the shortest decimal that reads back as the same float64.

    Raises:
        PackageError: the value holds NaN, an infinity, or something that JSON does not know.
    """
    try:
        text = json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return text.encode("utf-8")
    except (TypeError, ValueError, RecursionError) as error:
        raise PackageError(
            f"a value of the package cannot be written as JSON: {error}",
            cure="Use finite numbers and plain JSON values",
        ) from error


def readable_json(value: Any) -> bytes:
    """Return a value as UTF-8 JSON for people: as stable as `canonical_json`, but indented and with a last newline."""
    canonical_json(value)
    return (json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False, indent=1) + "\n").encode("utf-8")


def sha256_hex(data: bytes) -> str:
    """Return the SHA-256 of some bytes as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def content_digest(digests: Mapping[str, str], *, code: str | None = None) -> str:
    """Return a package's content digest: the SHA-256 over its content files' names and digests.

    Run ids, timings, scores and the card stay out of it: the same data, seed and library versions give the same
    digest. `digests` maps file names to SHA-256 and may hold more than the content files. `code` is the digest of
    a function's own code, which stands in for its graph.
    """
    parts = {name: digests[name] for name in CONTENT_FILES if name in digests}
    if code is not None:
        parts["code"] = code
    return sha256_hex(canonical_json(parts))
