"""The service's log: JSON lines that name commands, never what they carry."""

from __future__ import annotations

import logging
from typing import TextIO, cast

import structlog
from structlog.typing import FilteringBoundLogger

from hsm_stub.client import commands as c


def open_log(stream: TextIO, *, verbose: bool) -> FilteringBoundLogger:
    """Return a logger writing JSON lines to `stream`; `verbose` adds the frequent commands."""
    logger = structlog.wrap_logger(
        structlog.WriteLogger(stream),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.DEBUG if verbose else logging.INFO
        ),
    )
    return cast("FilteringBoundLogger", logger.bind())


def command_level(command: c.Command) -> int:
    """Return at which level `command` is logged: key exports and certificates always show."""
    match command:
        case c.DeriveCardAdminKey() | c.IssueCardCertificate() | c.DeriveTerminalKey():
            return logging.INFO
        case c.DeriveExchangeKey() | c.WrapTerminalKey() | c.IssueCardCertificates():
            return logging.INFO
        case c.BeginCardAdmin() | c.FinishCardAdmin() | c.SignStatement():
            return logging.INFO
        case c.Ping() | c.GetStatus() | c.GetPublicKeys() | c.SignReceiptBlock():
            return logging.DEBUG
        case c.DrawChallenge() | c.GetApprovals() | c.AddToCrl() | c.SignOcsp():
            return logging.DEBUG
        case c.BeginCrl() | c.FinishCrl() | c.WrapBatch():
            return logging.INFO
        case c.Approve() | c.InstallPolicy() | c.ReloadKeys():
            return logging.INFO
