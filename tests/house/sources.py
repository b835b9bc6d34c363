"""The files that the house rules are held against."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("processing", "terminal_sim", "card_personalization", "hsm_stub")
CODE_FOLDERS = (*PACKAGES, "tests", "bench", "scripts")
TEXT_FOLDERS = (*CODE_FOLDERS, ".ci", "docs", "sql")
TEXT_SUFFIXES = {"", ".md", ".py", ".sh", ".sql", ".toml", ".txt"}
GENERATED_FOLDERS = {"__pycache__", "results"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def files_below(folders: tuple[str, ...], suffixes: set[str]) -> list[Path]:
    """Give the files of the folders with one of the suffixes, in a fixed order."""
    return sorted(
        path
        for folder in folders
        for path in (ROOT / folder).rglob("*")
        if path.suffix in suffixes
        and path.is_file()
        and not GENERATED_FOLDERS.intersection(path.relative_to(ROOT).parts)
    )


def code_files() -> list[Path]:
    """Give every Python file of the checkout."""
    return files_below(CODE_FOLDERS, {".py"})


def package_files() -> list[Path]:
    """Give every Python file that the wheel carries."""
    return files_below(PACKAGES, {".py"})


def text_files() -> list[Path]:
    """Give every text that a reader or a tool may meet, code included."""
    at_the_top = [path for path in ROOT.iterdir() if path.is_file() and path.name != ".venv.lock"]
    readable = [path for path in at_the_top if path.suffix in TEXT_SUFFIXES]
    return sorted(readable) + files_below(TEXT_FOLDERS, TEXT_SUFFIXES)


def relative(path: Path) -> str:
    """Name a file as the checkout does."""
    return path.relative_to(ROOT).as_posix()


@cache
def parsed(path: Path) -> ast.Module:
    """Parse a Python file once."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def functions(path: Path) -> Iterator[Function]:
    """Give every function and method of a file, nested ones too."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node
