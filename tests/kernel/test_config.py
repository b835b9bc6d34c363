"""Settings: what each variable accepts, and what a wrong one is told."""

from __future__ import annotations

import os
from datetime import time
from pathlib import Path

import pytest

from processing.kernel.config import (
    ListenAddress,
    LogFormat,
    LogLevel,
    Settings,
    default_home,
    read_settings,
)
from processing.kernel.errors import ConfigurationError


def test_an_empty_environment_gives_the_defaults() -> None:
    settings = read_settings({"HOME": "/nowhere"})
    assert settings == Settings(
        home=default_home({}),
        dsn=None,
        time_zone="Europe/Moscow",
        log_level=LogLevel.INFO,
        log_format=LogFormat.JSON,
        iso8583_listen=ListenAddress("127.0.0.1", 8583),
        http_listen=ListenAddress("127.0.0.1", 8580),
        daily_at=time(3),
        hsm_address=f"unix:{default_home({})}/hsm.sock",
    )


ACCEPTED = [
    ({"SPK_HOME": "/srv/spk"}, "home", Path("/srv/spk")),
    ({"SPK_HOME": "relative"}, "home", Path("relative").absolute()),
    ({"SPK_HOME": "/srv/spk"}, "hsm_address", "unix:/srv/spk/hsm.sock"),
    ({"SPK_DSN": "postgresql://u@h/d"}, "dsn", "postgresql://u@h/d"),
    ({"SPK_DSN": "  "}, "dsn", None),
    ({"SPK_TIME_ZONE": "Asia/Yekaterinburg"}, "time_zone", "Asia/Yekaterinburg"),
    ({"SPK_DAILY_AT": "23:45"}, "daily_at", time(23, 45)),
    ({"SPK_DAILY_AT": "off"}, "daily_at", None),
    ({"SPK_LOG_LEVEL": "DEBUG"}, "log_level", LogLevel.DEBUG),
    ({"SPK_LOG_FORMAT": "console"}, "log_format", LogFormat.CONSOLE),
    ({"SPK_ISO8583_LISTEN": "0.0.0.0:0"}, "iso8583_listen", ListenAddress("0.0.0.0", 0)),  # noqa: S104 - read, not listened on
    ({"SPK_HTTP_LISTEN": "[::1]:65535"}, "http_listen", ListenAddress("::1", 65535)),
    ({"SPK_HSM": "tcp:127.0.0.1:7010"}, "hsm_address", "tcp:127.0.0.1:7010"),
    ({"SPK_TEST_DSN": "anything", "SPK_VENV": "x", "SPK_REQUIRE_PCSC": "1"}, "dsn", None),
]


@pytest.mark.parametrize(("environ", "field", "expected"), ACCEPTED)
def test_accepted(environ: dict[str, str], field: str, expected: object) -> None:
    assert getattr(read_settings(environ), field) == expected


REFUSED = [
    ({"SPK_DSN": "host=localhost password=hunter2"}, "SPK_DSN must be an address"),
    ({"SPK_DNS": "postgresql://u@h/d"}, "SPK_DNS is no setting; did you mean SPK_DSN"),
    ({"SPK_TIMEZONE": "Europe/Moscow"}, "did you mean SPK_TIME_ZONE"),
    ({"SPK_TIME_ZONE": "Moscow/Europe"}, "SPK_TIME_ZONE: Moscow/Europe is not a known time zone"),
    ({"SPK_TIME_ZONE": "../etc/passwd"}, "SPK_TIME_ZONE"),
    ({"SPK_LOG_LEVEL": "loud"}, "SPK_LOG_LEVEL=loud is not one of: debug, info, warning, error"),
    ({"SPK_LOG_FORMAT": "xml"}, "SPK_LOG_FORMAT=xml is not one of: json, console"),
    ({"SPK_ISO8583_LISTEN": "8583"}, "SPK_ISO8583_LISTEN=8583 must be host:port"),
    ({"SPK_HTTP_LISTEN": "localhost:65536"}, "SPK_HTTP_LISTEN"),
    ({"SPK_HTTP_LISTEN": "localhost:٣"}, "SPK_HTTP_LISTEN"),
    ({"SPK_DAILY_AT": "24:00"}, "SPK_DAILY_AT=24:00 must be an hour such as 03:00, or off"),
    ({"SPK_HOME": __file__}, "is a file; give the path of a folder"),
]


@pytest.mark.parametrize(("environ", "message"), REFUSED)
def test_refused(environ: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_settings(environ)
    assert message in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert caught.value.exit_code == 2


HOMES = [
    (0, {"XDG_DATA_HOME": "/data"}, Path("/var/lib/spk")),
    (1000, {"XDG_DATA_HOME": "/data"}, Path("/data/spk")),
    (1000, {"XDG_DATA_HOME": "data"}, Path.home() / ".local/share/spk"),
    (1000, {}, Path.home() / ".local/share/spk"),
]


@pytest.mark.parametrize(("user_id", "environ", "expected"), HOMES)
def test_default_home(
    monkeypatch: pytest.MonkeyPatch, user_id: int, environ: dict[str, str], expected: Path
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user_id)
    assert default_home(environ) == expected


@pytest.mark.parametrize("text", ["127.0.0.1:8583", "[::1]:80", "spk.example:1"])
def test_listen_address_reads_back(text: str) -> None:
    assert str(read_settings({"SPK_HTTP_LISTEN": text}).http_listen) == text
