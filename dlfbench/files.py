"""Files that are there whole or not at all, and names for them."""

import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dlfbench.errors import InputError

LONGEST_NAME = 200
"""Bytes of what becomes a file's or folder's name, at most: file systems take 255, and endings come to it."""


def check_folder(path: Path, flag: str) -> None:
    """Checks that a path can be a folder: neither it nor what it lies in is a file.

    Raises:
        InputError: One is; with the flag that gave the path.
    """
    there = next(one for one in (path, *path.absolute().parents) if one.exists())
    if not there.is_dir():
        raise InputError(f"{there}: expected a folder, found a file; give another {flag}")


def copy_folder(source: Path, target: Path, *, leave_out: str = "") -> None:
    """Copies a folder in place of what an interrupted copy left.

    Links stay links: a model's folder may hold some to all images that it was trained on.

    Args:
        source: What to copy.
        target: The copy.
        leave_out: Files of names like this, such as `*.tmp`.
    """
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, symlinks=True, ignore=shutil.ignore_patterns(leave_out))


def write_whole(path: Path, write: Callable[[str], Any]) -> None:
    """Writes a file whole or not at all.

    Args:
        path: The file; its folder is made.
        write: Writes the content to the temporary file of that name.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # not a tempfile: that one is readable by its owner only, and a report is there to be shared
    part = path.parent / f".{path.name}-{secrets.token_hex(4)}.part"
    try:
        write(str(part))
        os.replace(part, path)
    except OSError as error:
        if error.errno is not None and error.filename in (None, str(part)):  # a full disk is told without a name
            error.filename, error.filename2 = str(path), None
        raise
    finally:
        part.unlink(missing_ok=True)


def write_checked(path: Path, write: Callable[[str], Any]) -> None:
    """Writes a file whole or not at all, with a digest beside it by which `is_intact` knows it.

    Args:
        path: The file; its folder is made.
        write: Writes the content to the temporary file of that name.
    """

    def write_with_digest(part: str) -> None:
        write(part)
        # whichever of the two contents a killed process leaves is a good one
        known = [_digest(Path(part)), *([_digest(path)] if path.is_file() and is_intact(path) else [])]
        write_whole(_beside(path), lambda other: Path(other).write_text("\n".join(known)))

    write_whole(path, write_with_digest)


def is_intact(path: Path) -> bool:
    """Whether a file is there as `write_checked` left it."""
    try:
        return _digest(path) in _beside(path).read_text().split()
    except (FileNotFoundError, UnicodeDecodeError):
        return False


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_name(*parts: str) -> str:
    """Parts joined to a name that any file system takes: `jlf[patch_radius=3]` becomes `jlf-patch_radius-3`.

    >>> file_name("jlf[patch_radius=3]", "in domain")
    'jlf-patch_radius-3-_in-domain'
    """
    return re.sub(r"[^\w.]+", "-", "_".join(parts)).strip("-")
