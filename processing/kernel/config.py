"""The settings of the centre, read once from the environment into one frozen struct.

| variable | meaning | default |
| --- | --- | --- |
| SPK_HOME | folder of the embedded database, sockets and key files | see `default_home` |
| SPK_DSN | PostgreSQL to use instead of the embedded one | none: embedded |
| SPK_TARGETS | file of several databases (`processing.kernel.targets`) | none: one |
| SPK_TIME_ZONE | IANA name of the region's time zone | Europe/Moscow |
| SPK_LOG_LEVEL | debug, info, warning or error | info |
| SPK_LOG_FORMAT | json or console | json |
| SPK_ISO8583_LISTEN | host:port of the ISO 8583 gateway | 127.0.0.1:8583 |
| SPK_HTTP_LISTEN | host:port of the HTTP gateway | 127.0.0.1:8580 |
| SPK_DAILY_AT | when the day's work of the register begins, HH:MM local time; off: never | 03:00 |
| SPK_HSM | address of the key service, as `hsm_stub.client.address` reads it | unix:HOME/hsm.sock |
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from datetime import datetime, time
from enum import StrEnum
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from processing.kernel.clock import time_zone
from processing.kernel.errors import ConfigurationError

VARIABLES: Final = (
    "SPK_HOME",
    "SPK_DSN",
    "SPK_TARGETS",
    "SPK_TIME_ZONE",
    "SPK_LOG_LEVEL",
    "SPK_LOG_FORMAT",
    "SPK_ISO8583_LISTEN",
    "SPK_HTTP_LISTEN",
    "SPK_DAILY_AT",
    "SPK_HSM",
)
"""Every variable this module reads."""

MISSPELLING_RATIO: Final = 0.85
"""How alike an unknown name must be to a known one to be called a misspelling (0 to 1)."""


Choice = TypeVar("Choice", bound=StrEnum)


class LogFormat(StrEnum):
    """How log lines are written."""

    JSON = "json"
    CONSOLE = "console"


class LogLevel(StrEnum):
    """The least severe event that is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class ListenAddress(msgspec.Struct, frozen=True):
    """A TCP address to listen on; port 0 lets the system choose."""

    host: str
    port: int

    def __str__(self) -> str:
        """Return `host:port`, with an IPv6 host in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What the environment says. `dsn` None means: the embedded PostgreSQL under `home`.

    `targets_file` names several databases, of which `dsn` is then none. `daily_at` None: the centre
    does nothing by the day, somebody else runs those commands.
    """

    home: Path
    dsn: str | None = None
    targets_file: Path | None = None
    time_zone: str = "Europe/Moscow"
    log_level: LogLevel = LogLevel.INFO
    log_format: LogFormat = LogFormat.JSON
    iso8583_listen: ListenAddress = ListenAddress("127.0.0.1", 8583)
    http_listen: ListenAddress = ListenAddress("127.0.0.1", 8580)
    daily_at: time | None = None
    hsm_address: str = ""


def read_settings(environ: Mapping[str, str]) -> Settings:
    """Return the settings in `environ`; an empty value counts as absent.

    Raises `ConfigurationError` that names the variable and says what is expected.
    """
    given = {name: value.strip() for name, value in environ.items() if value.strip()}
    refuse_misspelled(given)
    home = _home(given.get("SPK_HOME"), given)
    return Settings(
        home=home,
        dsn=_dsn(given.get("SPK_DSN")),
        targets_file=_targets_file(given.get("SPK_TARGETS"), given),
        time_zone=_time_zone(given.get("SPK_TIME_ZONE", "Europe/Moscow")),
        log_level=_one_of(LogLevel, "SPK_LOG_LEVEL", given.get("SPK_LOG_LEVEL", "info")),
        log_format=_one_of(LogFormat, "SPK_LOG_FORMAT", given.get("SPK_LOG_FORMAT", "json")),
        iso8583_listen=_listen("SPK_ISO8583_LISTEN", given, "127.0.0.1:8583"),
        http_listen=_listen("SPK_HTTP_LISTEN", given, "127.0.0.1:8580"),
        daily_at=_daily_at(given.get("SPK_DAILY_AT", "03:00")),
        hsm_address=given.get("SPK_HSM", f"unix:{home / 'hsm.sock'}"),
    )


def default_home(environ: Mapping[str, str]) -> Path:
    """Return /var/lib/spk for root, else `spk` in the user's data folder (XDG base directories)."""
    if os.name == "posix" and os.geteuid() == 0:
        return Path("/var/lib/spk")
    data_home = environ.get("XDG_DATA_HOME", "")
    # The XDG specification asks that relative paths be ignored.
    if data_home and Path(data_home).is_absolute():
        return Path(data_home) / "spk"
    return Path.home() / ".local" / "share" / "spk"


def refuse_misspelled(environ: Mapping[str, str]) -> None:
    """Raise `ConfigurationError` for a name that is nearly one of `VARIABLES`.

    SPK_DNS would otherwise be ignored in silence and a second, empty database be used.
    """
    for name in sorted(environ):
        if not name.startswith("SPK_") or name in VARIABLES:
            continue
        if near := difflib.get_close_matches(name, VARIABLES, n=1, cutoff=MISSPELLING_RATIO):
            raise ConfigurationError(f"{name} is no setting; did you mean {near[0]}? Unset {name}.")


def _home(value: str | None, environ: Mapping[str, str]) -> Path:
    path = Path(value).expanduser().absolute() if value else default_home(environ)
    if path.exists() and not path.is_dir():
        raise ConfigurationError(f"SPK_HOME={path} is a file; give the path of a folder")
    return path


def _dsn(value: str | None) -> str | None:
    if value is not None and not value.startswith(("postgresql://", "postgres://")):
        # The value itself is not shown: it may hold a password.
        raise ConfigurationError(
            "SPK_DSN must be an address such as postgresql://user@host:5432/spk "
            "(for a socket: postgresql://user@/spk?host=/run/postgresql)"
        )
    return value


def _targets_file(value: str | None, environ: Mapping[str, str]) -> Path | None:
    if value is None:
        return None
    if "SPK_DSN" in environ:
        raise ConfigurationError(
            "SPK_TARGETS and SPK_DSN are both set: unset SPK_DSN, since the file that SPK_TARGETS "
            "names gives every database's address"
        )
    return Path(value).expanduser().absolute()


def _time_zone(value: str) -> str:
    try:
        time_zone(value)
    except ConfigurationError as error:
        raise ConfigurationError(f"SPK_TIME_ZONE: {error}") from None
    return value


def _daily_at(value: str) -> time | None:
    if value.lower() == "off":
        return None
    try:
        return datetime.strptime(value, "%H:%M").time()  # noqa: DTZ007 - local, without a day
    except ValueError:
        raise ConfigurationError(
            f"SPK_DAILY_AT={value} must be an hour such as 03:00, or off"
        ) from None


def _one_of(kind: type[Choice], name: str, value: str) -> Choice:
    try:
        return kind(value.lower())
    except ValueError:
        choices = ", ".join(member.value for member in kind)
        raise ConfigurationError(f"{name}={value} is not one of: {choices}") from None


def _listen(name: str, environ: Mapping[str, str], default: str) -> ListenAddress:
    value = environ.get(name, default)
    host, _, port = value.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not (port.isascii() and port.isdigit() and int(port[:6]) <= 0xFFFF):
        raise ConfigurationError(f"{name}={value} must be host:port with a port from 0 to 65535")
    return ListenAddress(host, int(port))
