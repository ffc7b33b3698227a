"""From the bytes of a file to a parsed module; what can't be read is told in a sentence."""

from __future__ import annotations

import ast
import io
import sys
import tokenize
import warnings
from pathlib import Path

from strangler.analysis.static.names import UNPARSED, Exports, module_names
from strangler.analysis.static.source import Project, Source

LARGEST = 4_000_000  # bytes: above that nobody wrote it, and its tree takes a gigabyte
PYTHON = f"Python {sys.version_info.major}.{sys.version_info.minor}"


class Unreadable(Exception):
    """A file that can't be looked at, and why."""


def loaded(path: Path) -> bytes:
    """Raises ``Unreadable``."""
    try:
        size = path.stat().st_size
        if size > LARGEST:
            raise Unreadable(f"{size / 1e6:.1f} MB: more than {LARGEST / 1e6:.0f} MB is not read as source")
        return path.read_bytes()
    except OSError as error:
        raise Unreadable(error.strerror or str(error)) from error


def parsed(project: Project, module: str, file: str, text: bytes, exports: Exports) -> Source:
    """Raises ``Unreadable``."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about escapes in other people's strings
            tree = ast.parse(text, file)
        lines = _lines(text)
    except UNPARSED as error:
        raise Unreadable(_reason(error)) from error
    names = module_names(module, file, tree)
    return Source(module, file, project.atlas.of_module(module), tree, lines, names, exports=exports)


def _lines(text: bytes) -> list[str]:
    """As the parser counts them: a form feed or a line separator of Unicode ends none."""
    encoding = "utf-8" if text.isascii() else tokenize.detect_encoding(io.BytesIO(text).readline)[0]
    return text.decode(encoding).replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _reason(error: BaseException) -> str:
    if isinstance(error, RecursionError | MemoryError):
        return f"nested too deeply for {PYTHON}"
    if isinstance(error, SyntaxError):
        return f"line {error.lineno or 1}: {error.msg} (as {PYTHON} reads it)"
    return str(error)
