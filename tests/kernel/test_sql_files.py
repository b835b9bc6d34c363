"""SQL files: found wherever the release is installed, in a fixed order, with their own names."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from processing.kernel.errors import MigrationError
from processing.kernel.sql_files import FILE_BYTES_MAX, read_sql_folder, sql_root


def write(root: Path, *paths: str) -> Path:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(f"-- {path}\n")
    return root


def test_order_is_migrations_then_functions_then_views(tmp_path: Path) -> None:
    folder = read_sql_folder(
        write(
            tmp_path,
            "views/a/a.sql",
            "functions/b/b.sql",
            "functions/a/z.sql",
            "functions/a/b.sql",
            "schema/20_b.sql",
            "schema/10_a.sql",
            "migrations/0002_b.sql",
            "migrations/0001_z.sql",
            "migrations/README.md",
        )
    )
    assert [file.path for file in folder.migrations] == [
        "migrations/0001_z.sql",
        "migrations/0002_b.sql",
    ]
    assert [file.path for file in folder.routines] == [
        "functions/a/b.sql",
        "functions/a/z.sql",
        "functions/b/b.sql",
        "views/a/a.sql",
    ]
    assert [file.name for file in folder.schema] == ["10_a.sql", "20_b.sql"]
    first = folder.migrations[0]
    assert (first.number, first.text) == (1, "-- migrations/0001_z.sql\n")
    assert first.sha256 == hashlib.sha256(b"-- migrations/0001_z.sql\n").digest()


BAD_NAMES = [
    ("migrations/0002_late.sql",),
    ("migrations/0001_a.sql", "migrations/0003_b.sql"),
    ("migrations/0001_a.sql", "migrations/0001_b.sql"),
    ("migrations/1_a.sql",),
    ("migrations/0001-a.sql",),
    ("migrations/0001_A.sql",),
    ("migrations/0001_a.sql", "migrations/old/0002_b.sql"),
]


@pytest.mark.parametrize("paths", BAD_NAMES)
def test_a_name_out_of_order_is_refused(tmp_path: Path, paths: tuple[str, ...]) -> None:
    with pytest.raises(MigrationError, match=paths[-1].rpartition("/")[2]):
        read_sql_folder(write(tmp_path, *paths))


def test_unreadable_files_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "migrations/0001_a.sql")
    (tmp_path / "migrations/0001_a.sql").write_bytes(b"SELECT '\xff'")
    with pytest.raises(MigrationError, match="is not UTF-8 at byte 8"):
        read_sql_folder(tmp_path)
    (tmp_path / "migrations/0001_a.sql").write_bytes(b" " * (FILE_BYTES_MAX + 1))
    with pytest.raises(MigrationError, match="larger than"):
        read_sql_folder(tmp_path)


def test_the_digest_covers_name_and_content(tmp_path: Path) -> None:
    first = read_sql_folder(write(tmp_path / "a", "migrations/0001_a.sql")).sha256
    write(tmp_path / "b", "migrations/0001_b.sql")
    (tmp_path / "b/migrations/0001_b.sql").write_text("-- migrations/0001_a.sql\n")
    assert read_sql_folder(tmp_path / "b").sha256 != first
    assert read_sql_folder(tmp_path / "a").sha256 == first


def test_this_release_has_its_sql() -> None:
    folder = read_sql_folder(sql_root())
    assert folder.migrations
    assert folder.schema
    assert folder.routines
