"""`cache_key`: the name under which an answer is kept, in this process and in Redis alike."""

from __future__ import annotations

from hashlib import blake2b

NAMESPACE = "rookery:cache:1"
"""What every key begins with; the number changes with the meaning of keys or the form of entries."""


def cache_key(service: str, manifest_sha256: str, content_digest: bytes, parameters: bytes) -> bytes:
    """Return the key of one service's, one package's answer to one content under given parameters.

    `manifest_sha256` is the digest of the version's manifest, which names the digests of all its other files: a
    version that is registered anew, or a second installation on the same Redis with a model of the same name and
    number, shares nothing. `parameters` are the bytes of everything else that changes the answer, in a form of the
    caller's own that is the same for the same parameters.

    The key reads `rookery:cache:1:<service>:<64 hex digits>`: operators count, expire or delete a service's answers
    by prefix. The digits are a digest over all four, each with its length before it, so that no two lists of
    arguments share a key.
    """
    digest = blake2b(digest_size=32, person=b"rookery-cache-1")
    for field in (service.encode(), manifest_sha256.encode(), content_digest, parameters):
        digest.update(len(field).to_bytes(8, "big"))
        digest.update(field)
    return f"{NAMESPACE}:{service}:{digest.hexdigest()}".encode()
