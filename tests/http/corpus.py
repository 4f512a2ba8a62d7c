"""The differential corpus: what clients may send, well-formed and not, as data.

Each case is sent to three servers over one application: the lane, our server with the lane off (the ASGI door), and
plain uvicorn. All three must answer alike, but for the differences that a case names.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.http.exchange import AwaitAnswers, HalfClose, Pace, Step

PENGUIN = {
    "bill_length_mm": 39.1,
    "bill_depth_mm": 18.7,
    "flipper_length_mm": 181,
    "body_mass_g": 3750,
    "year": 2007,
    "sex": "male",
    "island": "Torgersen",
}
BODY = json.dumps(PENGUIN).encode()
GENTOO = json.dumps({**PENGUIN, "bill_length_mm": 47.5, "flipper_length_mm": 215, "body_mass_g": 5200}).encode()
JSON = "Content-Type: application/json"
HOST = "Host: rookery.test"


def request(
    body: bytes | None = BODY,
    *headers: str,
    method: str = "POST",
    target: str = "/predict",
    version: str = "HTTP/1.1",
    host: str | None = HOST,
    content_type: str | None = JSON,
    length: str | None = "",
) -> bytes:
    """Write one request; `length` None leaves Content-Length out, a text replaces the true one."""
    lines = [f"{method} {target} {version}", *headers]
    if host is not None:
        lines.insert(1, host)
    if content_type is not None and body is not None:
        lines.append(content_type)
    if length is not None and (body is not None or length):
        lines.append(f"Content-Length: {length or len(body or b'')}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b"")


def get(target: str = "/livez", *headers: str, method: str = "GET") -> bytes:
    """Write a request without a body."""
    return request(None, *headers, method=method, target=target)


def chunked(*chunks: bytes, trailer: bytes = b"") -> bytes:
    """Write a body in the chunked transfer coding."""
    return b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n" + trailer + b"\r\n"


CHUNKED = "Transfer-Encoding: chunked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What one client sends, and what it must get from us.

    `statuses` are ours (both doors); plain uvicorn gives the same unless `difference` says why it does not.
    """

    name: str
    steps: Sequence[Step]
    statuses: tuple[int, ...]
    closed: bool = False
    """Whether our server closes the connection afterwards."""
    methods: Sequence[str] = field(default=())
    difference: str = ""
    """Why plain uvicorn's exchange is another one, in the words of the documentation's table of differences."""
    plain: tuple[int, ...] | None = None
    """What plain uvicorn answers where it differs; None where that depends on chance."""


ORDINARY = (
    Case(name="one prediction", steps=[request()], statuses=(200,)),
    Case(name="head and body apart", steps=[request(b"", length=str(len(BODY))), Pace(), BODY], statuses=(200,)),
    Case(
        name="byte by byte",
        steps=[step for byte in request() for step in (bytes([byte]), Pace(0.0002))],
        statuses=(200,),
    ),
    Case(name="two pipelined", steps=[request() + request(GENTOO)], statuses=(200, 200)),
    Case(name="a hundred pipelined", steps=[(request() + request(GENTOO)) * 50], statuses=(200,) * 100),
    Case(name="more pipelined than one pass holds", steps=[request() * 1_000], statuses=(200,) * 1_000),
    Case(
        name="prediction, page, prediction pipelined",
        steps=[request() + get() + request(GENTOO)],
        statuses=(200, 200, 200),
        methods=("POST", "GET", "POST"),
    ),
    Case(
        name="page, prediction, page pipelined",
        steps=[get() + request() + get()],
        statuses=(200, 200, 200),
        methods=("GET", "POST", "GET"),
    ),
    Case(
        name="refused, answered, refused pipelined",
        steps=[request(b"{}") + request() + request(b"[1")],
        statuses=(422, 200, 422),
    ),
    Case(
        name="a second request cut in two",
        steps=[request() + request()[:40], Pace(), request()[40:]],
        statuses=(200, 200),
    ),
    Case(name="empty lines before the request line", steps=[b"\r\n\r\n" + request()], statuses=(200,)),
    Case(
        name="header names in other cases", steps=[request(BODY, "x-request-id: Ab1", host="hOST: h")], statuses=(200,)
    ),
    Case(name="a query string", steps=[request(target="/predict?x=1")], statuses=(200,)),
    Case(
        name="two hundred small headers", steps=[request(BODY, *(f"X-H{i}: {i}" for i in range(200)))], statuses=(200,)
    ),
    Case(name="an empty header value", steps=[request(BODY, "X-Empty:")], statuses=(200,)),
    Case(name="a body of 64 KiB", steps=[request(BODY + b" " * (65_536 - len(BODY)))], statuses=(200,)),
    Case(name="a body of 64 KiB and a byte", steps=[request(BODY + b" " * (65_537 - len(BODY)))], statuses=(200,)),
    Case(name="a body of 200 kB", steps=[request(BODY + b" " * 200_000)], statuses=(200,)),
)

ENDINGS = (
    Case(name="Connection: close", steps=[request(BODY, "Connection: close")], statuses=(200,), closed=True),
    Case(
        name="Connection: Close among others",
        steps=[request(BODY, "Connection: x, Close")],
        statuses=(200,),
        closed=True,
    ),
    Case(
        name="pipelined, the last one closes",
        steps=[request() + request(BODY, "Connection: close")],
        statuses=(200, 200),
        closed=True,
    ),
    Case(
        name="a page that closes after a prediction",
        steps=[request() + get("/livez", "Connection: close")],
        statuses=(200, 200),
        closed=True,
        methods=("POST", "GET"),
    ),
    Case(name="HTTP/1.0", steps=[request(version="HTTP/1.0")], statuses=(200,), closed=True),
    Case(name="HTTP/1.0 without Host", steps=[request(version="HTTP/1.0", host=None)], statuses=(200,), closed=True),
    Case(
        name="HTTP/1.0 with keep-alive",
        steps=[request(BODY, "Connection: keep-alive", version="HTTP/1.0")],
        statuses=(200,),
        closed=True,
    ),
    Case(name="nothing at all, then end", steps=[HalfClose()], statuses=(), closed=True),
    Case(
        name="a prediction, then end",
        steps=[request(), HalfClose()],
        statuses=(200,),
        closed=True,
        difference="a client that has said its last word still gets its answer",
    ),
    Case(
        name="a page, then end",
        steps=[get(), HalfClose()],
        statuses=(200,),
        closed=True,
        methods=("GET",),
        difference="a client that has said its last word still gets its answer",
    ),
    Case(name="half a head, then end", steps=[request()[:30], HalfClose()], statuses=(), closed=True),
    Case(name="half a body, then end", steps=[request()[:-20], HalfClose()], statuses=(), closed=True),
)

METHODS = (
    Case(name="GET on the prediction path", steps=[get("/predict")], statuses=(405,), methods=("GET",)),
    Case(name="HEAD of a page", steps=[get("/livez", method="HEAD")], statuses=(200,), methods=("HEAD",)),
    Case(
        name="HEAD, then a prediction",
        steps=[get("/livez", method="HEAD") + request()],
        statuses=(200, 200),
        methods=("HEAD", "POST"),
    ),
    Case(name="PUT on the prediction path", steps=[request(method="PUT")], statuses=(405,)),
    Case(name="an unknown path", steps=[request(target="/predictions")], statuses=(404,)),
    Case(name="a doubled slash", steps=[request(target="//predict")], statuses=(404,)),
    Case(name="an escaped path", steps=[request(target="/%70redict")], statuses=(200,)),
    Case(name="a method nobody knows", steps=[request(method="FETCH")], statuses=(400,), closed=True),
    Case(name="a method in small letters", steps=[request(method="post")], statuses=(400,), closed=True),
)

BODIES = (
    Case(name="chunked", steps=[request(None, CHUNKED, JSON) + chunked(BODY[:50], BODY[50:])], statuses=(200,)),
    Case(
        name="chunked with a trailer, then a plain one",
        steps=[request(None, CHUNKED, JSON) + chunked(BODY, trailer=b"X-Sum: 1\r\n") + request(GENTOO)],
        statuses=(200, 200),
    ),
    Case(
        name="plain, chunked, plain pipelined",
        steps=[request() + request(None, CHUNKED, JSON) + chunked(GENTOO) + request()],
        statuses=(200, 200, 200),
    ),
    Case(
        name="chunks of one byte, each by itself",
        steps=[
            request(None, CHUNKED, JSON),
            *(step for byte in BODY for step in (b"1\r\n%c\r\n" % byte, Pace(0.0002))),
            b"0\r\n\r\n",
        ],
        statuses=(200,),
    ),
    Case(
        name="Expect: 100-continue",
        steps=[request(b"", "Expect: 100-continue", length=str(len(BODY))), AwaitAnswers(1), BODY],
        statuses=(100, 200),
    ),
    Case(name="no body", steps=[request(b"")], statuses=(422,)),
    Case(name="no body, no length", steps=[request(None, length=None)], statuses=(422,)),
    Case(name="no JSON", steps=[request(b"bill_length_mm=39.1")], statuses=(422,)),
    Case(name="half a JSON", steps=[request(BODY[:-1])], statuses=(422,)),
    Case(name="two JSONs", steps=[request(BODY + BODY)], statuses=(422,)),
    Case(name="NaN", steps=[request(BODY.replace(b"39.1", b"NaN"))], statuses=(422,)),
    Case(name="1e999", steps=[request(BODY.replace(b"39.1", b"1e999"))], statuses=(422,)),
    Case(name="invalid UTF-8", steps=[request(BODY.replace(b"male", b"m\xff\xfee"))], statuses=(422,)),
    Case(name="a lone surrogate", steps=[request(BODY.replace(b"male", b"\\ud800"))], statuses=(422,)),
    Case(name="an array ten thousand deep", steps=[request(b"[" * 10_000)], statuses=(422,)),
    Case(name="an unknown field", steps=[request(BODY.replace(b"sex", b"sxe"))], statuses=(422,)),
    Case(name="kilograms for grams", steps=[request(BODY.replace(b"3750", b"3.75"))], statuses=(422,)),
    Case(name="a compressed body", steps=[request(BODY, "Content-Encoding: gzip")], statuses=(415,)),
    Case(name="another content type", steps=[request(content_type="Content-Type: text/plain")], statuses=(415,)),
    Case(name="no content type", steps=[request(content_type=None)], statuses=(200,)),
)

_UNBOUNDED_HEADERS = "headers are capped at 16 KB"
_HOST = "exactly one Host is required"
_FRAMING = "a body whose framing is ambiguous is refused"

REFUSALS = (
    Case(name="garbage", steps=[b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"], statuses=(400,), closed=True),
    Case(name="a request line of one word", steps=[b"predict\r\n\r\n"], statuses=(400,), closed=True),
    Case(name="HTTP/3.0", steps=[request(version="HTTP/3.0")], statuses=(400,), closed=True),
    Case(name="a header without a colon", steps=[request(BODY, "X-Broken")], statuses=(400,), closed=True),
    Case(name="a space before the colon", steps=[request(BODY, "X-Broken : 1")], statuses=(400,), closed=True),
    Case(name="a folded header", steps=[request(BODY, "X-Folded: a\r\n b")], statuses=(400,), closed=True),
    Case(name="a NUL in a header", steps=[request(BODY, "X-Null: a\0b")], statuses=(400,), closed=True),
    Case(name="two lengths that differ", steps=[request(BODY, "Content-Length: 5")], statuses=(400,), closed=True),
    Case(name="a negative length", steps=[request(length="-1")], statuses=(400,), closed=True),
    Case(name="a length with a sign", steps=[request(length=f"+{len(BODY)}")], statuses=(400,), closed=True),
    Case(name="a length in hexadecimal", steps=[request(length="0x10")], statuses=(400,), closed=True),
    Case(
        name="a length beyond 64 bits", steps=[request(length="99999999999999999999999")], statuses=(400,), closed=True
    ),
    Case(name="length and chunks", steps=[request(BODY, CHUNKED)], statuses=(400,), closed=True),
    Case(
        name="a chunk size that is none",
        steps=[request(None, CHUNKED, JSON) + b"zz\r\n{}\r\n0\r\n\r\n"],
        statuses=(400,),
        closed=True,
    ),
    Case(
        name="garbage after a prediction",
        steps=[request() + b"\x00\x01\r\n\r\n"],
        statuses=(200, 400),
        closed=True,
        difference="a refusal never overtakes an answer that is still due",
        plain=(400,),
    ),
    Case(
        name="no Host in HTTP/1.1",
        steps=[request(host=None)],
        statuses=(400,),
        closed=True,
        difference=_HOST,
        plain=(200,),
    ),
    Case(
        name="two Hosts",
        steps=[request(BODY, "Host: other")],
        statuses=(400,),
        closed=True,
        difference=_HOST,
        plain=(200,),
    ),
    Case(
        name="Transfer-Encoding: gzip, chunked",
        steps=[request(None, "Transfer-Encoding: gzip, chunked", JSON) + chunked(BODY)],
        statuses=(400,),
        closed=True,
        difference=_FRAMING,
        plain=(200,),
    ),
    Case(
        name="a header of 20 KB",
        steps=[request(BODY, "X-Big: " + "a" * 20_000)],
        statuses=(431,),
        closed=True,
        difference=_UNBOUNDED_HEADERS,
        plain=(200,),
    ),
    Case(
        name="two thousand headers",
        steps=[request(BODY, *(f"X-H{i}: {i}" for i in range(2_000)))],
        statuses=(431,),
        closed=True,
        difference=_UNBOUNDED_HEADERS,
        plain=(200,),
    ),
    Case(
        name="a body of ten megabytes",
        steps=[request(b"", length="10000000"), b" " * 10_000_000],
        statuses=(413,),
        closed=True,
        difference="a refused body is not read to its end",
    ),
)

CORPUS: tuple[Case, ...] = (*ORDINARY, *ENDINGS, *METHODS, *BODIES, *REFUSALS)
