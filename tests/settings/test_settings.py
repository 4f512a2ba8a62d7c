from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rookery.errors import SettingError
from rookery.settings import (
    FACTS,
    Settings,
    default_text,
    describe_allowed,
    load_settings,
    masked_settings,
    parse_value,
    settings_from_json,
    settings_to_json,
)

FOREIGN = {
    "PORT": ("port", "9001", 9001),
    "LOG_LEVEL": ("log_level", "WARNING", "warning"),
    "DEBUG": ("debug", "true", True),
    "MAX_WORKERS": ("workers", "3", 3),
    "TIMEOUT": ("deadline", "2.5", 2.5),
    "MAX_MEMORY": ("max_memory_mb", "512", 512.0),
}


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (*FOREIGN, "MODEL_PATH"):
        monkeypatch.delenv(name, raising=False)


def test_without_anything_the_defaults_hold_and_paths_are_absolute(tmp_path: Path) -> None:
    settings = load_settings()
    assert settings.port == 8000
    assert settings.host == "127.0.0.1"
    assert settings.home == tmp_path / ".rookery"
    assert settings.services_folder == tmp_path / "services"
    assert settings.lane is True


@pytest.mark.parametrize("foreign", FOREIGN)
def test_foreign_names_are_accepted_and_lose_to_our_own(foreign: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name, text, value = FOREIGN[foreign]
    monkeypatch.setenv(foreign, text)
    assert getattr(load_settings(), name) == value
    own = {"port": "7", "log_level": "error", "debug": "off", "workers": "1", "deadline": "1", "max_memory_mb": "64"}
    monkeypatch.setenv(f"ROOKERY_{name.upper()}", own[name])
    assert getattr(load_settings(), name) == parse_value(name, own[name])


def test_model_path_names_a_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MODEL_PATH", "models/penguins")
    assert load_settings().package == tmp_path / "models" / "penguins"


def test_the_command_line_beats_the_environment_which_beats_the_env_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("ROOKERY_PORT=1\nROOKERY_WORKERS=4\nROOKERY_ENVIRONMENT='stage'\n")
    monkeypatch.setenv("PORT", "2")
    assert (load_settings().port, load_settings().workers, load_settings().environment) == (2, 4, "stage")
    assert load_settings(port="3").port == 3
    assert load_settings(port=None).port == 2


def test_an_empty_value_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROOKERY_PORT", " ")
    monkeypatch.setenv("ROOKERY_TRACKING_URI", "")
    assert load_settings() == load_settings(port=8000)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("port", "http"),
        ("port", "65536"),
        ("port", "-1"),
        ("port", "80.0"),
        ("workers", "0"),
        ("workers", "1e1"),
        ("lane", "maybe"),
        ("deadline", "nan"),
        ("deadline", "inf"),
        ("deadline", "soon"),
        ("deadline", "0"),
        ("max_memory_mb", "512MB"),
        ("log_level", "loud"),
        ("tracking_uri", "sqlite:///x.db"),
        ("environment", "two words"),
        ("redis_url", "http://cache.example:6379"),
        ("redis_url", "redis://"),
        ("redis_timeout", "0"),
        ("redis_timeout", "2"),
        ("host", "a b"),
        ("root_path", "models/"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(name: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"ROOKERY_{name.upper()}", text)
    with pytest.raises(SettingError) as caught:
        load_settings()
    line = str(caught.value)
    assert line.startswith(f"ROOKERY_{name.upper()}=")
    assert describe_allowed(name) in line
    assert "\n" not in line
    if not FACTS[name].secret:
        assert repr(text) in line


def test_every_problem_has_its_own_line_and_says_where_the_value_stands(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("MAX_WORKERS=many\n")
    monkeypatch.setenv("PORT", "x")
    with pytest.raises(SettingError) as caught:
        load_settings(log_level="loud")
    lines = caught.value.message.splitlines()
    assert [line.partition("=")[0] for line in lines] == ["PORT", "MAX_WORKERS (in .env)", "--log-level"]


def test_an_unknown_name_is_refused_with_the_nearest_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROOKERY_WORKRES", "2")
    with pytest.raises(SettingError, match=r"ROOKERY_WORKRES in the environment .*did you mean ROOKERY_WORKERS\?"):
        load_settings()


def test_what_kubernetes_adds_for_a_service_called_rookery_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "ROOKERY_SERVICE_HOST": "10.0.0.7",
        "ROOKERY_SERVICE_PORT_HTTP": "80",
        "ROOKERY_PORT": "tcp://10.0.0.7:80",
        "ROOKERY_PORT_80_TCP_ADDR": "10.0.0.7",
        "ROOKERY_POSTGRES_SERVICE_HOST": "10.0.0.8",
        "ROOKERY_POSTGRES_PORT_5432_TCP": "tcp://10.0.0.8:5432",
    }.items():
        monkeypatch.setenv(name, value)
    assert load_settings().port == 8000


def test_an_env_file_that_is_no_text_is_an_error_of_one_line(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"PORT=\xff\xfe\x00")
    with pytest.raises(SettingError, match=r"\.env cannot be read"):
        load_settings()


def test_settings_survive_the_way_to_a_worker_unchanged() -> None:
    changed = load_settings(
        port=0,
        lane=False,
        deadline=1.5,
        allowed_hosts="a.example, b.example",
        tracking_uri="https://u:p@h/x",
        root_path="/m",
        redis_url="unix:///run/redis.sock?db=1",
        redis_timeout=0.02,
    )
    assert changed.allowed_hosts == ("a.example", "b.example")
    assert settings_from_json(settings_to_json(changed)) == changed
    assert settings_from_json(settings_to_json(load_settings())) == load_settings()


def test_credentials_are_masked_in_what_debug_shows_and_in_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = masked_settings(load_settings(tracking_uri="https://user:geheim@mlflow.example/x?token=geheim"))
    assert shown["tracking_uri"] == "https://***@mlflow.example/x?***"
    assert set(shown) == set(FACTS)
    for url, masked in {
        "redis://:geheim@cache.example:6380/1?password=geheim": "redis://***@cache.example:6380/1?***",
        "rediss://cache.example": "rediss://cache.example",
        "unix:///run/redis.sock?password=geheim": "***",
    }.items():
        assert masked_settings(load_settings(redis_url=url))["redis_url"] == masked
    monkeypatch.setenv("ROOKERY_TRACKING_URI", "ftp://user:geheim@mlflow.example")
    with pytest.raises(SettingError) as caught:
        load_settings()
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize("name", FACTS)
def test_every_default_is_itself_an_allowed_value(name: str) -> None:
    default: Any = getattr(Settings(), name)
    if default is not None and default != "" and default != ():
        assert parse_value(name, default) == default
        assert parse_value(name, str(default) if not isinstance(default, bool) else default_text(name)) == default


@pytest.mark.parametrize(
    ("host", "url"),
    [("127.0.0.1", "http://127.0.0.1:80"), ("0.0.0.0", "http://127.0.0.1:80"), ("::1", "http://[::1]:80")],
)
def test_the_url_is_one_that_a_browser_on_this_machine_can_open(host: str, url: str) -> None:
    assert Settings(host=host, port=80).url == url
