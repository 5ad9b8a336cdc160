"""Files that are there whole or not at all, and names for them."""

import os
import re
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

LONGEST_NAME = 200
"""Bytes of what becomes a file's or folder's name, at most: file systems take 255, and endings come to it."""


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
    finally:
        part.unlink(missing_ok=True)


def file_name(*parts: str) -> str:
    """Parts joined to a name that any file system takes: `jlf[patch_radius=3]` becomes `jlf-patch_radius-3`."""
    return re.sub(r"[^\w.]+", "-", "_".join(parts)).strip("-")
