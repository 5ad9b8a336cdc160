"""Registrations, and the atlases that they give a target."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np

from dlfbench.datasets.cases import Case, LabelSet
from dlfbench.engine.tasks.task import Place, Progress, Task
from dlfbench.engine.trouble import our_files, scratch_folder
from dlfbench.fusion.partial import with_open_votes
from dlfbench.images import UNKNOWN, numbered
from dlfbench.isolation.state import put_back
from dlfbench.records.folder import Left, RunFolder
from dlfbench.registration.interface import Registration, WarpedAtlas
from dlfbench.registration.outcome import check_warped
from dlfbench.volumes import Atlas, AtlasSet


@dataclass(frozen=True)
class RegistrationTask(Task):
    """Warps one atlas onto one target, into the store. `key` is the entry's key in the store."""

    kind = "registration"
    judges = (RuntimeError,)

    target: Case
    atlas: Case
    registration: Registration

    @property
    def image_cases(self) -> tuple[Case, ...]:
        return (self.target, self.atlas)

    @property
    def reference_cases(self) -> tuple[Case, ...]:
        return (self.atlas,)

    def run(self, place: Place, progress: Progress) -> Left:
        return Left([{"flags": list(self.warped(place, progress).flags)}])

    def outdate(self, folder: RunFolder) -> None:
        """Nothing: a warped atlas that is made again is the same."""

    def has_failed(self, place: Place) -> bool:
        """Whether the others do without it."""
        product = place.folder.read_product(self.kind, self.key)
        return product is not None and not product.ok

    def warped(self, place: Place, progress: Progress) -> WarpedAtlas:
        """The warped atlas from the store; made, or made again, where it is missing or damaged.

        Raises:
            RuntimeError: There is none; the registration says why.
            Trouble: Files cannot be read or written.
        """
        with our_files():
            warped = place.store.get(self.key)
            if warped is not None:
                return warped
            # another run may be at the same one
            with place.store.claim(self.key, waiting=lambda text: progress(0.0, text)):
                warped = place.store.get(self.key)
                if warped is None:
                    started = time.perf_counter()
                    warped = self._register(place)
                    place.store.put(self.key, warped, time.perf_counter() - started)
        return warped

    def _register(self, place: Place) -> WarpedAtlas:
        labels, grid = self.atlas.read_reference()
        values, numbers = numbered(labels)
        atlas = Atlas(self.atlas.name, self.atlas.read_target(exact=True).images, numbers, grid)
        target = self.target.read_target(exact=True)
        self.check_data()  # others would take the entry for one of the data as planned
        with scratch_folder() as scratch, put_back(), self._blamed():
            warped = self.registration.warp(target, atlas, scratch=scratch, threads=place.threads)
            check_warped(warped, target, atlas)
        return replace(warped, labels=np.where(warped.labels == UNKNOWN, UNKNOWN, values[warped.labels]))

    @contextmanager
    def _blamed(self) -> Iterator[None]:
        """In the body, what is raised is the registration's: it may raise anything, but memory is the machine's."""
        try:
            yield
        except MemoryError:
            raise
        except (Exception, SystemExit) as error:
            kind = "" if isinstance(error, RuntimeError) else f"{type(error).__name__}: "
            what = f"{type(self.registration).__name__}, atlas {self.atlas.name} on target {self.target.name}"
            raise RuntimeError(f"{what}: {kind}{error}") from error


def keys_of(tasks: tuple[RegistrationTask, ...], atlases: Iterable[str]) -> frozenset[str]:
    """Keys of the registrations of these atlases."""
    names = set(atlases)
    return frozenset(task.key for task in tasks if task.atlas.name in names)


def _say_nothing(share: float, text: str) -> None:
    """Progress that nobody watches."""


def load_atlases(
    tasks: tuple[RegistrationTask, ...], place: Place, labels: LabelSet, progress: Progress = _say_nothing
) -> AtlasSet:
    """The atlases of one target, less those whose registration failed. All methods get the same.

    Raises:
        RuntimeError: None could be registered.
        Trouble: One that was registered cannot be read, or not be made again.
    """
    names, warped, undrawn = [], [], []
    for task in tasks:
        with our_files(Exception):
            if task.has_failed(place):
                continue
            warped.append(task.warped(place, progress))
        names.append(task.atlas.name)
        undrawn.append(task.atlas.undrawn)
    if tasks and not warped:
        raise RuntimeError(f"none of {len(tasks)} atlases could be registered to {tasks[0].target.name}")
    images = np.stack([w.images for w in warped]) if warped else np.empty((0, 0, 0, 0, 0), np.float32)
    candidates = np.stack([w.labels for w in warped]) if warped else np.empty((0, 0, 0, 0), np.int16)
    images.setflags(write=False)
    opened = with_open_votes(AtlasSet(tuple(names), images, candidates, labels.values), undrawn)
    opened.labels.setflags(write=False)
    return opened
