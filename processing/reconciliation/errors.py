"""What stops an export, in words for the person at the command line.

ExportRefused        what was asked for does not exist or cannot be written; exit code 2
ExportMismatchError  the journal's lines and its decisions contradict each other; exit code 4
"""

from __future__ import annotations

from typing import ClassVar

from processing.kernel.errors import SpkError


class ExportRefused(SpkError):
    """The day, the provider or the file is wrong; the message says what to give instead."""

    exit_code: ClassVar[int] = 2


class ExportMismatchError(SpkError):
    """The file's sums are not those of the decisions in the journal; no file was left behind."""

    exit_code: ClassVar[int] = 4
