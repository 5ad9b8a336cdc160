"""The store of warped atlases, addressed by content and shared by methods, folds and studies.

An entry is one file `ROOT/ab/abcdef....npz`, written whole or not at all. Two writers of one key write the same
warped atlas, so the last one may win. Reading checks the checksums inside; a damaged entry is removed and made again.
"""

import hashlib
import io
import json
import logging
import os
import time
import uuid
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import platformdirs
from filelock import FileLock, Timeout

from dlfbench.errors import InputError
from dlfbench.registration.interface import Registration, WarpedAtlas

log = logging.getLogger(__name__)

_FORMAT = 2
_TIME = "wall_s.json"
_LEFTOVER_AGE_S = 3600.0
_TELL_EVERY_S = 5.0
_LONGEST_WAIT_S = 600.0


def default_cache_folder() -> Path:
    """`DLFBENCH_CACHE`, else the user's cache folder."""
    return Path(os.environ.get("DLFBENCH_CACHE") or platformdirs.user_cache_dir("dlfbench")).expanduser()


def warp_key(target_digest: str, atlas_digest: str, registration: Registration) -> str:
    """The key of a warped atlas: everything that it depends on.

    Args:
        target_digest: Digest of the target's images.
        atlas_digest: Digest of the atlas's images and labels.
        registration: Its kind, settings and version count.

    Raises:
        InputError: Its settings or its version can be no part of a key.
    """
    return warp_keys(registration)(target_digest, atlas_digest)


def warp_keys(registration: Registration) -> Callable[[str, str], str]:
    """`warp_key` of one registration, for many pairs: its version is asked for once, which can take long."""
    settings: Any = asdict(registration)  # type: ignore[call-overload]
    kind = f"{type(registration).__module__}.{type(registration).__qualname__}"
    own = [kind, settings, _version(registration)]
    try:
        json.dumps(settings)
    except TypeError as error:
        where = f"registration {type(registration).__name__}"
        raise InputError(f"{where}: settings are numbers, text and tuples, of which keys are made: {error}") from None

    def key(target_digest: str, atlas_digest: str) -> str:
        parts = [_FORMAT, target_digest, atlas_digest, *own]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]

    return key


def _version(registration: Registration) -> str:
    where = f"registration {type(registration).__name__}"
    try:
        version = registration.version()
    except (Exception, SystemExit) as error:  # a plugin may raise anything
        raise InputError(f"{where}: its version cannot be found out: {type(error).__name__}: {error}") from error
    if not isinstance(version, str):
        raise InputError(f"{where}: version() gave {version!r}, expected a text such as 'picsl-greedy 1.4.0.3'")
    return version


@dataclass(frozen=True)
class StoreInfo:
    """How much a store holds.

    Attributes:
        entries: Number of warped atlases.
        size_bytes: Of all entries.
    """

    entries: int
    size_bytes: int


@dataclass(frozen=True)
class EntryInfo:
    """What is known of a warped atlas besides its voxels.

    Attributes:
        flags: What looks wrong.
        wall_s: How long it took to make; NaN where that was not recorded.
    """

    flags: tuple[str, ...]
    wall_s: float


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
        """The entry; None where there is none or it was damaged (it is removed then).

        Raises:
            OSError: There is an entry but it cannot be read, such as for want of permission.
        """
        path = self._path(key)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        try:
            return _unpack(content)
        except MemoryError:
            raise
        except Exception as error:  # zipfile, zlib, NumPy and JSON raise a dozen kinds for damaged bytes
            log.warning("%s: damaged entry removed (%s: %s); it is made again", path, type(error).__name__, error)
            path.unlink(missing_ok=True)
            return None

    def about(self, key: str) -> EntryInfo | None:
        """What is known of an entry, without reading its voxels; None where there is none or it is damaged.

        Raises:
            OSError: There is an entry but it cannot be read.
        """
        try:
            with zipfile.ZipFile(self._path(key)) as file:
                flags = tuple(json.loads(file.read("flags.json")))
                timed = _TIME in file.namelist()  # entries of builds before have none
                return EntryInfo(flags, float(json.loads(file.read(_TIME))) if timed else float("nan"))
        except (FileNotFoundError, zipfile.BadZipFile, zlib.error, KeyError, ValueError):
            return None

    @contextmanager
    def claim(self, key: str, waiting: Callable[[str], None] | None = None) -> Iterator[None]:
        """Waits until no other process makes the same entry; a claim ends with its process, however that ends.

        After ten minutes it waits no longer: an entry that is made twice is the same both times.

        Args:
            key: Of the entry.
            waiting: Told, every few seconds, who is waited for and how long already.
        """
        path = self._path(key).with_suffix(".lock")
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path)
        with suppress(NotImplementedError):  # no locks on this file system: an entry may be made twice
            _wait_for(lock, waiting or log.warning)
        try:
            yield
        finally:
            if lock.is_locked:
                lock.release()
                path.unlink(missing_ok=True)

    def put(self, key: str, warped: WarpedAtlas, wall_s: float = float("nan")) -> None:
        """Writes an entry whole or not at all.

        Args:
            key: Of the entry.
            warped: What it holds.
            wall_s: How long it took to make, which those are told who find it here.

        Raises:
            OSError: It cannot be written, such as on a full disk; nothing is left behind.
        """
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{key}.{uuid.uuid4().hex}.part")
        try:
            # no fsync: an entry that a power failure cut short is found damaged and made again
            temporary.write_bytes(_pack(warped, wall_s))
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)

    def info(self) -> StoreInfo:
        """Counts entries and their size."""
        sizes = [found.st_size for _, found in _stats(self._entries())]
        return StoreInfo(len(sizes), sum(sizes))

    def verify(self, progress: Callable[[int, int], None] | None = None) -> list[str]:
        """Reads every entry; removes those that are damaged and returns their keys.

        Temporary files that killed writers left behind are removed too, once they are an hour old.

        Args:
            progress: Called with the entries read so far and those there are.
        """
        self._remove_leftovers()
        paths = sorted(self._entries())
        damaged = []
        for done, path in enumerate(paths, 1):
            if self.get(path.stem) is None:
                damaged.append(path.stem)
            if progress:
                progress(done, len(paths))
        return damaged

    def clear(self) -> None:
        """Removes every entry, and the temporary files of killed writers as `verify` does."""
        for path in list(self._entries()):
            path.unlink(missing_ok=True)
        self._remove_leftovers()

    def _remove_leftovers(self) -> None:
        for path, found in _stats(chain(self.root.glob("??/.*.part"), self.root.glob("??/*.lock"))):
            if time.time() - found.st_mtime > _LEFTOVER_AGE_S:
                path.unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        return self.root / key[:2] / f"{key}.npz"

    def _entries(self) -> Iterator[Path]:
        return (path for path in self.root.glob("??/*.npz") if not path.name.startswith("."))


def _wait_for(lock: FileLock, waiting: Callable[[str], None]) -> None:
    started = time.monotonic()
    while (waited_s := time.monotonic() - started) < _LONGEST_WAIT_S:
        try:
            lock.acquire(timeout=_TELL_EVERY_S)
            return
        except Timeout:
            waiting(f"another process makes the same warped atlas: waited for {waited_s + _TELL_EVERY_S:.0f} s")
    waiting(f"waited for {waited_s:.0f} s for another process, and made here now ({lock.lock_file})")


def _stats(paths: Iterator[Path]) -> Iterator[tuple[Path, os.stat_result]]:
    """Less those that another process removes meanwhile."""
    for path in paths:
        try:
            yield path, path.stat()
        except FileNotFoundError:
            continue


def _pack(warped: WarpedAtlas, wall_s: float) -> bytes:
    """An .npz file. Labels shrink to a tenth; images hardly do, and would take ten times as long to read."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr(zipfile.ZipInfo("images.npy"), _to_npy(warped.images), zipfile.ZIP_STORED)
        file.writestr(zipfile.ZipInfo("labels.npy"), _to_npy(warped.labels), zipfile.ZIP_DEFLATED)
        file.writestr(zipfile.ZipInfo("flags.json"), json.dumps(warped.flags), zipfile.ZIP_STORED)
        file.writestr(zipfile.ZipInfo(_TIME), json.dumps(wall_s), zipfile.ZIP_STORED)
    return buffer.getvalue()


def _unpack(content: bytes) -> WarpedAtlas:
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        # reading a member to its end checks its checksum, which np.load does only where the header is sound
        images, labels, flags = (file.read(name) for name in ("images.npy", "labels.npy", "flags.json"))
    return WarpedAtlas(_from_npy(images), _from_npy(labels), tuple(json.loads(flags)))


def _to_npy(array: npt.NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _from_npy(content: bytes) -> npt.NDArray[Any]:
    return np.asarray(np.lib.format.read_array(io.BytesIO(content), allow_pickle=False))
