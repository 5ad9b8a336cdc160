"""What every task is, and where it runs. Tasks run in a child process of a worker (see `dlfbench.engine.child`)."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from dlfbench.datasets.cases import Case
from dlfbench.engine.keys import has_images
from dlfbench.errors import InputError
from dlfbench.records.folder import Left, Product, RunFolder
from dlfbench.registration.store import WarpStore

if TYPE_CHECKING:
    from dlfbench.engine.tasks.registration import RegistrationTask

Progress = Callable[[float, str], None]


@dataclass(frozen=True)
class Place:
    """Where a task runs.

    Attributes:
        run: The run folder.
        cache: The store of warped atlases.
        device: `cpu` or `cuda`.
        threads: CPU threads for one task.
    """

    run: Path
    cache: Path
    device: str = "cpu"
    threads: int = 1

    @property
    def folder(self) -> RunFolder:
        return RunFolder(self.run)

    @property
    def store(self) -> WarpStore:
        return WarpStore(self.cache)


@dataclass(frozen=True)
class Task(ABC):
    """One piece of work with one product.

    Attributes:
        key: Digest of everything that its result depends on.
        needs: Keys of the tasks whose products it reads.
        names: What it is about: method, fold, case, atlas.
        digests: Digests of the images and of the reference that were planned with, by case; others are not checked.
        code: The method's code that was planned with; see `packing.code_of`.
    """

    kind: ClassVar[str]
    judges: ClassVar[tuple[type[BaseException], ...]] = (BaseException,)
    """What it raises where it fails; anything else is trouble of the machine."""

    key: str
    needs: tuple[str, ...] = field(default=(), kw_only=True)
    names: dict[str, Any] = field(default_factory=dict, kw_only=True)
    digests: Mapping[str, tuple[str, str]] = field(default_factory=dict, kw_only=True, repr=False)
    code: tuple[tuple[str, str], ...] = field(default=(), kw_only=True, repr=False)

    @property
    def uses_gpu(self) -> bool:
        return False

    @property
    def requires(self) -> tuple[tuple[str, str], ...]:
        """Kind and key of those tasks that it needs without which there is nothing to do."""
        return ()

    @property
    def inputs(self) -> tuple[Path, ...]:
        """Files of the dataset that a method may open by itself."""
        return ()

    @property
    def image_cases(self) -> tuple[Case, ...]:
        """Cases whose images it reads."""
        return ()

    @property
    def reference_cases(self) -> tuple[Case, ...]:
        """Cases whose references it reads."""
        return ()

    @property
    def registrations(self) -> tuple["RegistrationTask", ...]:
        """Those whose warped atlases it reads, less those that failed."""
        return ()

    def used(self, product: Product) -> frozenset[str] | None:
        """Keys of the registrations that its product was made with; None where the product does not say."""
        return None

    def outdate(self, folder: RunFolder) -> None:
        """Takes out what earlier starts left, before this one makes it again: if it is stopped, the next must know."""
        folder.product_path(self.kind, self.key).unlink(missing_ok=True)

    def check_data(self) -> None:
        """Checks that the files of the dataset are as they were when this was planned.

        Raises:
            InputError: One has changed.
            OSError: One cannot be read.
        """
        planned = self.digests
        changed = [
            path
            for case in self.image_cases
            if case.name in planned and not has_images(case, planned[case.name][0])
            for path in case.images
        ]
        changed += [
            case.reference
            for case in self.reference_cases
            if case.name in planned and case.reference and case.reference_digest() != planned[case.name][1]
        ]
        if changed:
            raise InputError(
                f"{' or '.join(map(str, changed))}: changed since this run was started, whose results are all of one "
                "version of the data; put back what was there and start again, or start a new run with another --out"
            )

    @abstractmethod
    def run(self, place: Place, progress: Progress) -> Left:
        """Does the work; what it leaves becomes its product. Raises where it fails."""
