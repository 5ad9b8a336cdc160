"""The store of warped atlases, addressed by content and shared by methods, folds and studies.

An entry is one file `ROOT/ab/abcdef....npz`, written whole or not at all. Two writers of one key write the same
content, so the last one may win. Reading checks the checksums inside; a damaged entry is removed and made again.
"""

import hashlib
import io
import json
import logging
import os
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs

from dlfbench.registration.interface import Registration, WarpedAtlas

log = logging.getLogger(__name__)

_FORMAT = 1
_DAMAGE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)


def default_cache_folder() -> Path:
    """`DLFBENCH_CACHE`, else the user's cache folder."""
    return Path(os.environ.get("DLFBENCH_CACHE") or platformdirs.user_cache_dir("dlfbench"))


def warp_key(target_digest: str, atlas_digest: str, registration: Registration) -> str:
    """The key of a warped atlas: everything that it depends on.

    Args:
        target_digest: Digest of the target's images.
        atlas_digest: Digest of the atlas's images and labels.
        registration: Its kind, settings and version count.
    """
    settings: Any = asdict(registration)  # type: ignore[call-overload]
    parts = [_FORMAT, target_digest, atlas_digest, type(registration).__qualname__, settings, registration.version()]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class StoreInfo:
    """How much a store holds.

    Attributes:
        entries: Number of warped atlases.
        size_bytes: Of all entries.
    """

    entries: int
    size_bytes: int


class WarpStore:
    """Warped atlases by key.

    Args:
        root: Its folder; made when first written to.
    """

    def __init__(self, root: Path) -> None:
        self.root = root / "warps"

    def __contains__(self, key: str) -> bool:
        return self._path(key).is_file()

    def get(self, key: str) -> WarpedAtlas | None:
        """The entry; None where there is none or it was damaged (it is removed then)."""
        path = self._path(key)
        if not path.is_file():
            return None
        try:
            return _read(path)
        except FileNotFoundError:
            return None
        except _DAMAGE as error:
            log.warning("%s: damaged entry removed (%s); it is made again", path, error)
            path.unlink(missing_ok=True)
            return None

    def put(self, key: str, warped: WarpedAtlas) -> None:
        """Writes an entry whole or not at all.

        Raises:
            OSError: It cannot be written, such as on a full disk; nothing is left behind.
        """
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        buffer = io.BytesIO()
        np.savez_compressed(buffer, images=warped.images, labels=warped.labels, flags=np.array(json.dumps(warped.flags)))
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(buffer.getbuffer())
            os.replace(temporary, path)
        finally:
            Path(temporary).unlink(missing_ok=True)

    def info(self) -> StoreInfo:
        """Counts entries and their size."""
        sizes = [path.stat().st_size for path in self._entries()]
        return StoreInfo(len(sizes), sum(sizes))

    def verify(self, progress: Callable[[int, int], None] | None = None) -> list[str]:
        """Reads every entry; removes those that are damaged and returns their keys."""
        paths = sorted(self._entries())
        damaged = []
        for done, path in enumerate(paths, 1):
            if self.get(path.stem) is None:
                damaged.append(path.stem)
            if progress:
                progress(done, len(paths))
        return damaged

    def clear(self) -> None:
        """Removes every entry."""
        for path in list(self._entries()):
            path.unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        return self.root / key[:2] / f"{key}.npz"

    def _entries(self) -> Iterator[Path]:
        return self.root.glob("??/*.npz")


def _read(path: Path) -> WarpedAtlas:
    with np.load(path, allow_pickle=False) as entry:
        return WarpedAtlas(entry["images"], entry["labels"], tuple(json.loads(str(entry["flags"]))))
