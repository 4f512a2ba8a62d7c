"""`Entry`: what is cached of an answer, and its bytes in a shared store that nobody has to trust.

A stored value is a header (format and version), a digest, and a MessagePack array of the key, the parts and the
outputs. Whatever comes back is checked from the outside in: length, header, digest, structure, key, and at last that
every part is JSON from its first byte to its last, because parts are spliced into answers as they are. Anything else
is a miss. The digest is no signature: it tells damage, not a forger with the store's password, who can at most have
well-formed wrong answers given, never run code (there is no pickle) or break an answer's form.
"""

from __future__ import annotations

from hashlib import blake2b

import msgspec

MAX_VALUE_BYTES = 1_000_000
"""Largest stored value, both ways: checking one costs the event loop about 10 ms per megabyte."""

HEADER = b"RKC\x01"
_DIGEST_BYTES = 16
_START = len(HEADER) + _DIGEST_BYTES

ENTRY_OVERHEAD = 300
PART_OVERHEAD = 128
"""Bytes that Python's own objects take around an entry and around each of its parts: what `sys.getsizeof` says of
them, rounded up. A test weighs full caches against these figures."""


class Entry(msgspec.Struct, frozen=True, gc=False):
    """The parts of an answer that depend on nothing but its key; not to be altered, many answers share it."""

    parts: dict[str, bytes]
    """Each cached field of the answer, by name, as the bytes of its JSON value."""
    outputs: bytes = b""
    """The model's row of float32 outputs in native byte order, which the journal records; empty if there is none."""

    @property
    def size(self) -> int:
        """Bytes of memory that the entry takes, objects included."""
        content = sum(len(name) + len(value) + PART_OVERHEAD for name, value in self.parts.items())
        return ENTRY_OVERHEAD + len(self.outputs) + content


class _Stored(msgspec.Struct, frozen=True, gc=False, array_like=True, forbid_unknown_fields=True):
    """The inner form of a stored value."""

    key: bytes
    parts: dict[str, bytes]
    outputs: bytes


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(_Stored)
_JSON = msgspec.json.Decoder()


def encode_entry(key: bytes, entry: Entry, *, limit: int = MAX_VALUE_BYTES) -> bytes | None:
    """Return the bytes to store an entry under its key; None if they are more than `limit`."""
    # The text is no longer than this by more than a few bytes per part; a giant is refused before it is copied.
    if entry.size - ENTRY_OVERHEAD - len(entry.parts) * PART_OVERHEAD > limit:
        return None
    payload = _ENCODER.encode(_Stored(key, entry.parts, entry.outputs))
    value = HEADER + _digest(payload) + payload
    return value if len(value) <= limit else None


def decode_entry(key: bytes, value: bytes, *, limit: int = MAX_VALUE_BYTES) -> Entry | None:
    """Return the entry that `encode_entry` stored under `key`; None for any other bytes. Raises nothing."""
    if not _START < len(value) <= limit or not value.startswith(HEADER):
        return None
    payload = memoryview(value)[_START:]
    if _digest(payload) != value[len(HEADER) : _START]:
        return None
    try:
        stored = _DECODER.decode(payload)
        if stored.key != key or len(stored.outputs) % 4:
            return None
        for part in stored.parts.values():
            # Into objects and away: only this reads every byte. Decoding to `msgspec.Raw` skips over strings.
            _JSON.decode(part)
    except Exception:
        # Decoders fail in more ways than their own errors: depth, Unicode, numbers out of range, memory.
        return None
    return Entry(stored.parts, stored.outputs)


def _digest(payload: bytes | memoryview) -> bytes:
    return blake2b(payload, digest_size=_DIGEST_BYTES, person=b"rookery-entry-1").digest()
