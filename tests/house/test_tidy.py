"""The rules of CONTRIBUTING.md that no linter knows."""

import ast
import re
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house.sources import (
    PACKAGES,
    ROOT,
    Function,
    code_files,
    functions,
    package_files,
    parsed,
    relative,
    text_files,
)

FUNCTION_LINES_MAX = 70
FILE_LINES_WANTED = 500
FILE_LINES_MAX = 600

LONG_FILES: dict[str, str] = {}
"""Files that may be longer than FILE_LINES_MAX, each with its reason."""

UNFINISHED = re.compile(r"\b(TO(?:DO)|FIX(?:ME)|X{3})\b")
REGISTRY_HOST = re.compile(r"\b(pypi|pythonhosted|npmjs|debian|crates)\.(org|com|io)\b")
SOMEONES_HOME = re.compile(r"(?<![\w.])/(home|Users)/[a-z]\w*|(?<![\w.])/root/\.?[a-z]\w*")

ASSERTING_CALLS = re.compile(r"^(assert|check|expect|verify)|^(raises|fail|warns)$")


def names_defined(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Give every name that a file defines, with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg


def public_definitions(body: list[ast.stmt], inside: str = "") -> Iterator[tuple[str, ast.AST]]:
    """Give the public classes, functions and methods of a module's or a class's body."""
    for node in body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        if node.name.startswith("_"):
            continue
        yield f"{inside}{node.name}", node
        if isinstance(node, ast.ClassDef):
            yield from public_definitions(node.body, f"{node.name}.")


def asserts_something(test: Function) -> bool:
    """Tell whether a test can fail on what it saw."""
    for node in ast.walk(test):
        if isinstance(node, ast.Assert):
            return True
        if isinstance(node, ast.Call):
            called = node.func
            name = called.attr if isinstance(called, ast.Attribute) else ""
            name = called.id if isinstance(called, ast.Name) else name
            if ASSERTING_CALLS.search(name.lstrip("_")):
                return True
    return False


def lines_matching(pattern: re.Pattern[str]) -> list[str]:
    """Give every line of the checkout's texts that a pattern matches, with its place."""
    return [
        f"{relative(path)}:{number}: {line.strip()[:100]}"
        for path in text_files()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if pattern.search(line)
    ]


def test_functions_fit_on_a_screen() -> None:
    long = [
        f"{relative(path)}:{function.lineno} {function.name} has {lines} lines"
        for path in code_files()
        for function in functions(path)
        if (lines := (function.end_lineno or 0) - function.lineno + 1) > FUNCTION_LINES_MAX
    ]
    assert long == []


@pytest.mark.filterwarnings("default")
def test_files_hold_one_subject() -> None:
    lengths = {
        relative(path): len(path.read_text(encoding="utf-8").splitlines()) for path in code_files()
    }
    for path, lines in lengths.items():
        if FILE_LINES_WANTED < lines <= FILE_LINES_MAX:
            warnings.warn(f"{path} has {lines} lines: is it one subject?", stacklevel=1)
    too_long = {path for path, lines in lengths.items() if lines > FILE_LINES_MAX}
    assert too_long == set(LONG_FILES)


def test_public_code_has_docstrings() -> None:
    silent = []
    for path in package_files():
        tree = parsed(path)
        if path.name != "__init__.py" and ast.get_docstring(tree) is None:
            silent.append(relative(path))
        for name, node in public_definitions(tree.body):
            assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            if ast.get_docstring(node) is None:
                silent.append(f"{relative(path)}:{node.lineno} {name}")
    assert silent == []


def test_package_init_files_are_empty() -> None:
    filled = [
        relative(path)
        for path in package_files()
        if path.name == "__init__.py" and path.stat().st_size > 0
    ]
    assert filled == []


def test_every_folder_of_code_is_a_package() -> None:
    # Without its __init__.py a folder is missed by the import contracts and by the wheel's checks.
    folders = {path.parent for path in package_files()}
    bare = {relative(folder) for folder in folders if not (folder / "__init__.py").exists()}
    assert bare == set()
    assert {folder.name for folder in folders if folder.parent == ROOT} == set(PACKAGES)


def test_names_are_english() -> None:
    foreign = [
        f"{relative(path)}:{line} {name}"
        for path in code_files()
        for line, name in names_defined(parsed(path))
        if not name.isascii()
    ]
    assert foreign == []


def test_every_test_asserts() -> None:
    idle = [
        f"{relative(path)}:{function.lineno} {function.name}"
        for path in code_files()
        if path.name.startswith("test_")
        for function in functions(path)
        if function.name.startswith("test_") and not asserts_something(function)
    ]
    assert idle == []


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        (UNFINISHED, "an issue remembers work to come; the code does not"),
        (REGISTRY_HOST, "which registry serves a package is the reader's own setting"),
        (SOMEONES_HOME, "a path of one machine means nothing on another"),
        (re.compile(re.escape(str(ROOT)) + r"\b"), "the checkout may stand anywhere"),
    ],
)
def test_no_text_matches(pattern: re.Pattern[str], why: str) -> None:
    assert lines_matching(pattern) == [], why


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        (UNFINISHED, "# " + "TO" + "DO later", True),
        (UNFINISHED, "method", False),
        (REGISTRY_HOST, "files.python" + "hosted.org/x", True),
        (REGISTRY_HOST, "Debian.", False),
        (SOMEONES_HOME, "cd /ho" + "me/anna/spk", True),
        (SOMEONES_HOME, "/ro" + "ot/.cache", True),
        (SOMEONES_HOME, "a Merkle tree/root/leaf", False),
        (SOMEONES_HOME, "GET /root", False),
    ],
)
def test_patterns_find_what_they_should(pattern: re.Pattern[str], text: str, found: bool) -> None:
    assert bool(pattern.search(text)) is found


def test_the_files_are_found() -> None:
    here = Path(__file__).resolve()
    assert here in code_files()
    assert ROOT / "pyproject.toml" in text_files()
    assert ROOT / "processing/cli.py" in package_files()
