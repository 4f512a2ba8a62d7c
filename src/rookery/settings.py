"""Every setting in one table, read once from flags, the environment and `.env`.

The table is the `Settings` dataclass itself: each field carries its help, its bounds and the foreign names it
also answers to. Reading needs the standard library only: a server reads its settings before it starts
its workers, and `import pydantic_settings` alone (a third of a second) would be a quarter of its start-up budget.
"""

from __future__ import annotations

import difflib
import json
import math
import os
import re
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, Union
from urllib.parse import urlsplit, urlunsplit

from rookery.errors import SettingError

PREFIX = "ROOKERY_"

OTHERS_NAMES = re.compile(r"ROOKERY_(TEST_\w+|(\w+_)?(SERVICE_(HOST|PORT)(_\w+)?|PORT(_\d+_(TCP|UDP)(_\w+)?)?))")
"""Names that are no settings and no mistakes: what Kubernetes adds to the environment for Services whose names begin
with `rookery`, and what tests are told of their machine."""


@dataclass(frozen=True, slots=True)
class Form:
    """What a text setting must look like, as a pattern and in words."""

    pattern: str
    words: str


TEXT = Form(r"[^\0]*", "a text")
URL = Form(r"https?://\S+", "an http:// or https:// URL")
HOST = Form(r"[A-Za-z0-9.:_-]+", "a host name or an IP address")
NAME = Form(r"[A-Za-z0-9_.-]{1,64}", "a word of at most 64 letters, digits, dots and dashes")
REDIS_URL = Form(r"(rediss?|unix)://\S+", "a redis://, rediss:// or unix:// URL")
URL_PATH = Form(r"(/[A-Za-z0-9._~-]+)+", "a path like /models")


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the table knows of a setting besides its type and default."""

    purpose: str
    minimum: float = -math.inf
    maximum: float = math.inf
    form: Form = TEXT
    also: str = ""
    """A foreign name it is read from as well."""
    secret: bool = False


def setting(default: Any, purpose: str, **facts: Any) -> Any:
    """Declare one setting: its default, what it does, and the rest of its `Facts`."""
    return field(default=default, metadata={"facts": Facts(purpose=purpose, **facts)})


# ruff: noqa: RUF009 - `setting` makes a dataclass field
@dataclass(frozen=True, kw_only=True)
class Settings:
    """What an operator may set. Times are in seconds, sizes in megabytes (10⁶ bytes)."""

    home: Path = setting(Path(".rookery"), "Folder of all state: registry, packages, traffic files")
    services_folder: Path = setting(Path("services"), "Folder that holds one folder per service")
    package: Path | None = setting(
        None, "Serve this package folder alone, without services or registry", also="MODEL_PATH"
    )
    tracking_uri: str | None = setting(
        None, "MLflow tracking server; empty: the embedded registry in `home`", form=URL, secret=True
    )
    environment: str = setting("dev", "Name of this installation, shown by `/info`", form=NAME)

    host: str = setting("127.0.0.1", "Address to listen on; other than loopback needs keys or `insecure`", form=HOST)
    port: int = setting(8000, "TCP port; 0 takes a free one", minimum=0, maximum=65535, also="PORT")
    workers: int = setting(
        min(2, os.cpu_count() or 1), "Worker processes sharing the port", minimum=1, maximum=256, also="MAX_WORKERS"
    )
    threads: int = setting(1, "Inference threads per worker, at most cores / workers", minimum=1, maximum=256)
    device: Literal["auto", "cpu", "cuda"] = setting(
        "auto", "Where graphs run; auto: on a GPU if onnxruntime-gpu is installed and finds one"
    )
    lane: bool = setting(True, "Answer plain predictions inside the HTTP protocol class; off: everything through ASGI")
    insecure: bool = setting(False, "Listen on any address without keys")
    root_path: str = setting("", "Path that a proxy in front strips, e.g. `/models`", form=URL_PATH)
    allowed_hosts: tuple[str, ...] = setting((), "Host headers that are answered (comma-separated); empty: all")
    cors_origins: tuple[str, ...] = setting((), "Origins that browsers may call from (comma-separated); empty: none")

    deadline: float | None = setting(
        None, "Longest time for one answer; empty: each service's own", minimum=0.001, maximum=3600, also="TIMEOUT"
    )
    header_timeout: float = setting(10.0, "Longest time to receive a request's headers", minimum=0.1, maximum=3600)
    body_timeout: float = setting(30.0, "Longest time to receive a request's body", minimum=0.1, maximum=3600)
    idle_timeout: float = setting(65.0, "How long an idle connection is kept", minimum=0.1, maximum=86400)
    graceful_timeout: float = setting(
        30.0, "Longest time to finish open requests at shutdown", minimum=0.1, maximum=3600
    )
    heartbeat_timeout: float = setting(
        10.0, "A worker whose event loop is silent for this long is replaced", minimum=0.5, maximum=3600
    )
    start_timeout: float = setting(60.0, "Longest time for a worker to load its models", minimum=1, maximum=3600)
    max_memory_mb: float | None = setting(
        None, "A worker above this memory is replaced gracefully; empty: no limit", minimum=64, also="MAX_MEMORY"
    )

    mirrors: tuple[str, ...] = setting((), "URLs of folders that `rookery pull` asks before a file's own address")
    redis_url: str | None = setting(
        None, "Redis that shares cached answers; empty: each worker keeps its own", form=REDIS_URL, secret=True
    )
    redis_timeout: float = setting(0.05, "Longest time of a look-up in Redis", minimum=0.001, maximum=1)

    log_level: Literal["debug", "info", "warning", "error"] = setting(
        "info", "Least severe log lines", also="LOG_LEVEL"
    )
    log_file: Path | None = setting(None, "Write the log lines to this rotating file, too")
    log_file_mb: float = setting(50.0, "Size at which the log file is rotated", minimum=0.001, maximum=100000)
    log_file_count: int = setting(5, "Rotated log files that are kept", minimum=1, maximum=1000)
    log_sample_per_second: int = setting(
        50, "Request lines a worker logs in a second; further ones are counted", minimum=0, maximum=1000000
    )
    debug: bool = setting(False, "Show `/debug`, and tracebacks on the command line", also="DEBUG")

    @property
    def url(self) -> str:
        """Where a browser on this machine finds the server."""
        local = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - shown, not bound
        host = local.get(self.host, self.host)
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"


_HINTS: Mapping[str, Any] = typing.get_type_hints(Settings)
_DEFAULTS: Mapping[str, Any] = {declared.name: declared.default for declared in fields(Settings)}
FACTS: Mapping[str, Facts] = {declared.name: declared.metadata["facts"] for declared in fields(Settings)}
"""Every setting's facts by name, in the table's order."""


def load_settings(**overrides: Any) -> Settings:
    """Read the settings: `overrides` (None: not given) before the environment before `.env` before the defaults.

    In each of the two environments the `ROOKERY_` name wins over the foreign one (`PORT`, `LOG_LEVEL`, `DEBUG`,
    `MAX_WORKERS`, `TIMEOUT`, `MAX_MEMORY`, `MODEL_PATH`). An empty value counts as not set. Paths become absolute.

    Raises:
        SettingError: one line for every wrong value and unknown `ROOKERY_` name.
    """
    sources = (("the environment", dict(os.environ)), (".env", _read_dotenv(Path(".env"))))
    problems = _unknown_names(sources, overrides)
    values: dict[str, Any] = {}
    for name in FACTS:
        found = _find(name, overrides, sources)
        if found is None:
            continue
        source, raw = found
        try:
            values[name] = parse_value(name, raw)
        except ValueError:
            problems.append(f"{source}={_shown(name, raw)} is not allowed: {name} is {describe_allowed(name)}")
    if problems:
        raise SettingError("\n".join(problems))
    return _with_absolute_paths(Settings(**values))


def parse_value(name: str, raw: Any) -> Any:
    """Return `raw` (text, or already typed) as the value of setting `name`.

    Raises:
        ValueError: the value is not allowed; `describe_allowed` says what is.
    """
    kind, facts = _kind(name), FACTS[name]
    value: Any = _PARSERS[kind](raw) if kind in _PARSERS else _parse_choice(kind, raw)
    if kind in (int, float) and not facts.minimum <= value <= facts.maximum:
        raise ValueError(value)
    if kind is str and not re.fullmatch(facts.form.pattern, value):
        raise ValueError(value)
    return value


def describe_allowed(name: str) -> str:
    """Say in a few words which values setting `name` allows."""
    kind, facts = _kind(name), FACTS[name]
    span = f" from {facts.minimum:.15g}" if facts.minimum > -math.inf else ""
    span += f" to {facts.maximum:.15g}" if facts.maximum < math.inf else ""
    words = {
        int: f"a whole number{span}",
        float: f"a number{span}",
        bool: "on or off",
        str: facts.form.words,
        Path: "a path",
        tuple: "a comma-separated list",
    }
    return words[kind] if kind in words else "one of " + ", ".join(typing.get_args(kind))


def default_text(name: str) -> str:
    """Return a setting's default as one would write it in the environment (empty: not set)."""
    if name == "workers":
        return "2 (1 on a single core)"
    default = _DEFAULTS[name]
    if isinstance(default, bool):
        return "on" if default else "off"
    if default is None or default == ():
        return ""
    return f"{default:g}" if isinstance(default, float) else str(default)


def settings_to_json(settings: Settings) -> str:
    """Write settings for a child process; `settings_from_json` is the way back."""
    values = {name: getattr(settings, name) for name in FACTS}
    return json.dumps({k: str(v) if isinstance(v, Path) else v for k, v in values.items()})


def settings_from_json(text: str) -> Settings:
    """Rebuild the settings that a parent process read."""
    values = {k: v for k, v in json.loads(text).items() if v is not None}
    return Settings(**{name: parse_value(name, value) for name, value in values.items() if value != ""})


def masked_settings(settings: Settings) -> dict[str, Any]:
    """Return every setting, JSON-ready, with credentials replaced by `***`."""
    shown = json.loads(settings_to_json(settings))
    return {name: _mask(value) if FACTS[name].secret else value for name, value in shown.items()}


def _mask(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    parts = urlsplit(value)
    if not parts.netloc:
        return "***"
    host = parts.netloc.rpartition("@")[2]
    credentials = "***@" if "@" in parts.netloc else ""
    return urlunsplit((parts.scheme, credentials + host, parts.path, "***" if parts.query else "", ""))


def _shown(name: str, raw: Any) -> str:
    return repr(_mask(raw) if FACTS[name].secret else raw)


def _kind(name: str) -> Any:
    """Return a setting's type without `| None`; tuples of texts are `tuple`."""
    hint = _HINTS[name]
    if typing.get_origin(hint) in (Union, types.UnionType):
        hint = next(part for part in typing.get_args(hint) if part is not type(None))
    return tuple if typing.get_origin(hint) is tuple else hint


def _parse_bool(raw: Any) -> bool:
    if isinstance(raw, bool):
        return raw
    word = str(raw).strip().lower()
    if word in ("1", "true", "yes", "on"):
        return True
    if word in ("0", "false", "no", "off"):
        return False
    raise ValueError(raw)


def _parse_int(raw: Any) -> int:
    if isinstance(raw, bool) or not re.fullmatch(r"[+-]?\d{1,18}", str(raw).strip(), re.ASCII):
        raise ValueError(raw)
    return int(raw)


def _parse_float(raw: Any) -> float:
    if isinstance(raw, bool):
        raise ValueError(raw)
    value = float(raw)
    if not math.isfinite(value):
        raise ValueError(raw)
    return value


def _parse_text(raw: Any) -> str:
    return str(raw).strip()


def _parse_list(raw: Any) -> tuple[str, ...]:
    parts = raw.split(",") if isinstance(raw, str) else list(raw)
    return tuple(part.strip() for part in parts if part.strip())


def _parse_choice(kind: Any, raw: Any) -> str:
    word = str(raw).strip().lower()
    if word not in typing.get_args(kind):
        raise ValueError(raw)
    return word


_PARSERS: Mapping[Any, Any] = {
    bool: _parse_bool,
    int: _parse_int,
    float: _parse_float,
    str: _parse_text,
    Path: lambda raw: Path(_parse_text(raw)),
    tuple: _parse_list,
}

Sources = tuple[tuple[str, Mapping[str, str]], ...]


def _find(name: str, overrides: Mapping[str, Any], sources: Sources) -> tuple[str, Any] | None:
    """Return where a setting's value comes from (as the user wrote it) and the raw value; None: the default."""
    if overrides.get(name) is not None:
        return f"--{name.replace('_', '-')}", overrides[name]
    for place, values in sources:
        for key in (PREFIX + name.upper(), FACTS[name].also):
            raw = values.get(key, "") if key else ""
            if raw.strip() and not (key == "ROOKERY_PORT" and raw.startswith(("tcp://", "udp://"))):
                return (key if place != ".env" else f"{key} (in .env)"), raw
    return None


def _unknown_names(sources: Sources, overrides: Mapping[str, Any]) -> list[str]:
    """Return a line for every `ROOKERY_` name that is no setting, with the nearest one that is."""
    problems = [f"--{name.replace('_', '-')} is no setting" for name in overrides if name not in FACTS]
    known = [PREFIX + name.upper() for name in FACTS]
    for place, values in sources:
        for key in sorted(values):
            if key.startswith(PREFIX) and key not in known and not OTHERS_NAMES.fullmatch(key):
                close = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
                hint = f"did you mean {close[0]}?" if close else "see docs/settings.md"
                problems.append(f"{key} in {place} is no setting: {hint}")
    return problems


def _read_dotenv(path: Path) -> dict[str, str]:
    """Read a `.env` file, if there is one; the parser is only loaded then."""
    if not path.is_file():
        return {}
    from dotenv import dotenv_values

    try:
        values = dotenv_values(path)
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f".env cannot be read: {error}", cure="Make it a UTF-8 text of NAME=value lines") from error
    return {key: value for key, value in values.items() if value is not None}


def _with_absolute_paths(settings: Settings) -> Settings:
    values = {name: getattr(settings, name) for name in FACTS}
    absolute: dict[str, Any] = {k: v.expanduser().absolute() for k, v in values.items() if isinstance(v, Path)}
    return replace(settings, **absolute)
