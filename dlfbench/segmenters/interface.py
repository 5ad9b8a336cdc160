"""The one interface that a method implements.

A method is a frozen dataclass: its fields are its parameters. A label fusion method implements `fuse`; anything
else implements `segment`, and `fit` if it learns.
"""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import PositiveInt

from dlfbench.errors import InputError
from dlfbench.fusion.atlas_votes import AtlasVotes
from dlfbench.fusion.partial import with_classes_for_open_votes, without_their_classes
from dlfbench.fusion.posterior import Posterior
from dlfbench.fusion.selection import most_similar
from dlfbench.fusion.votes import as_shares
from dlfbench.images import UNKNOWN, LabelArray
from dlfbench.volumes import AtlasSet, Segmentation, Target

if TYPE_CHECKING:
    from dlfbench.segmenters.registry import Method


def _say_nothing(fraction: float, message: str) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True)
class Context:
    """What a method may use while it works.

    Attributes:
        folder: The method's own for this fold: `fit` leaves its model there, `segment` reads it. Write nowhere else.
        seed: Derived from study seed, method, fold and case; take all randomness from it.
        device: `cpu`, or a card: `cuda:0`, `cuda:1`, ..., or `cuda` for the first.
        threads: How many CPU threads to use.
        progress: Call with the share done (0 to 1) and a short message during long work.
        members: Folders of the models of the method's members (see `Segmenter.members`), by name; there in `fit` alone.
    """

    folder: Path
    seed: int = 0
    device: str = "cpu"
    threads: int = 1
    progress: Callable[[float, str], None] = field(default=_say_nothing, compare=False)
    members: Mapping[str, Path] = field(default_factory=dict)


class TrainingCase(ABC):
    """One training case, read when asked for."""

    name: str
    image_paths: tuple[Path, ...]
    reference_path: Path

    @property
    def person(self) -> str:
        """Whose image it is."""
        return self.read_target().person

    @property
    def undrawn(self) -> tuple[int, ...]:
        """Labels that nobody drew in this case: its background may be any of them."""
        return ()

    @abstractmethod
    def read_target(self) -> Target:
        """The image, as `segment` would see it."""

    @abstractmethod
    def read_reference(self) -> LabelArray:
        """Its manual label map (x, y, z); `dlfbench.images.UNKNOWN` where voxels are to be ignored."""

    @abstractmethod
    def read_atlases(self) -> AtlasSet:
        """The other training cases of the fold warped onto this one (leave one person out)."""


@dataclass(frozen=True)
class Training:
    """The training set of one fold.

    Attributes:
        cases: In ascending order of name.
        label_values: The declared labels, background (0) first.
        modalities: Names of the image channels.
        label_names: One per label value; none where they are not known.
    """

    cases: Sequence[TrainingCase]
    label_values: tuple[int, ...]
    modalities: tuple[str, ...]
    label_names: tuple[str, ...] = ()


class Segmenter(ABC):
    """A segmentation method. Subclasses are frozen dataclasses of their parameters, each with a default.

    Attributes:
        needs_atlases: `segment` gets atlases warped to the target; otherwise an empty set.
        needs_training: `fit` is called once per fold before `segment`. True where a class has a `fit` of its own.
        trains_on_atlases: `fit` reads the atlases of training cases, so leave-one-out registrations are made.
        held_out_parts: `fit` trains hosts that read atlases once without each of so many parts of the people (see
            `dlfbench.segmenters.held_out`); 0 where it does not.
        uses_gpu: Runs on a GPU where there is one.
        learns_from_partial: `fit` leaves out what is not known of a reference: voxels that are `UNKNOWN`, and labels in
            `TrainingCase.undrawn`. Other methods that learn are refused on such data.
    """

    learns_from_partial: ClassVar[bool] = False
    needs_atlases: ClassVar[bool] = True
    needs_training: ClassVar[bool] = False
    trains_on_atlases: ClassVar[bool] = False
    held_out_parts: ClassVar[int] = 0
    uses_gpu: ClassVar[bool] = False

    def __init_subclass__(cls) -> None:
        if "fit" in vars(cls) and "needs_training" not in vars(cls):
            cls.needs_training = True

    @property
    def code_files(self) -> tuple[Path, ...]:
        """Files other than Python modules that results depend on, such as scripts that the method calls."""
        return ()

    @property
    def parts(self) -> Sequence["Segmenter"]:
        """Other methods that this one calls by name: their code and parameters count as its own."""
        return ()

    @property
    def members(self) -> Sequence["Method"]:
        """Methods whose models on the same training cases are its own too: a study trains each once, for all."""
        return ()

    def fit(self, training: Training, context: Context) -> None:
        """Learns from the fold's training set and leaves the model in `context.folder`."""
        raise NotImplementedError(f"{type(self).__name__} declares needs_training but has no fit")

    def pack(self, folder: Path, out: Path) -> None:
        """Leaves in `out` what `segment` needs of the model in `folder`, as files without pickle, to be passed on.

        Here, the files as they are, but for networks (`.pt` of tensors by name), which become arrays.

        Raises:
            InputError: Some of it cannot be passed on so.
        """
        from dlfbench.segmenters.packing import pack_files

        pack_files(folder, out)

    def unpack(self, folder: Path, out: Path) -> None:
        """Makes a model in `out`, as `segment` reads it, of what `pack` left in `folder`."""
        from dlfbench.segmenters.packing import unpack_files

        unpack_files(folder, out)

    def own_files(self, folder: Path, fold: int) -> dict[str, Path]:
        """The model in `folder` in the form that the method's own tool installs: files by their path in an archive.

        Args:
            folder: Of the model.
            fold: What the tool is to call it, where it knows folds.

        Raises:
            InputError: There is no such tool.
        """
        raise InputError(f"{type(self).__name__}: has no tool of its own that installs models; leave out --own-form")

    @abstractmethod
    def segment(self, target: Target, atlases: AtlasSet, context: Context) -> Segmentation:
        """Segments one target.

        Args:
            target: The image; its reference is nowhere in reach.
            atlases: The fold's atlases on the target's grid. The arrays are read-only.
            context: Folder, seed, device and threads.
        """


@dataclass(frozen=True)
class FusionMethod(Segmenter):
    """A label fusion method: implement `fuse`, and `fit` if it learns.

    Attributes:
        judges_atlases: `fuse` tells good atlases from bad ones by how they agree. Then what was not drawn in an atlas
            is what the others say there; elsewhere it is a class of its own, which is shared out afterwards.
        top: Fuse only so many atlases, those that look most like the target where candidates have foreground; None
            for all.
    """

    judges_atlases: ClassVar[bool] = False

    top: PositiveInt | None = field(default=None, kw_only=True)

    @abstractmethod
    def fuse(self, target: Target, atlases: AtlasSet, context: Context) -> npt.NDArray[Any] | Posterior:
        """Fuses the candidate segmentations. The argument `context` may be left out of the definition.

        Returns:
            Posterior (class, x, y, z) in the order of `atlases.label_values`, summing to 1 over classes, as an array or
            as a `Posterior`, which is as large as the dispute; or a label map (x, y, z) of integers. Where some atlas
            has no vote (`UNKNOWN`) an array's sum may be less, down to 0: shares are made of it, or background.
        """

    def select(self, target: Target, atlases: AtlasSet) -> AtlasSet:
        """The atlases to fuse: the `top` most similar, or all."""
        return atlases if self.top is None else most_similar(target, atlases, self.top)

    def votes(self, target: Target, atlases: AtlasSet, context: Context) -> AtlasVotes:
        """Each atlas's vote for each label, for methods that weigh votes anew.

        Their mean over atlases is the posterior. Here, one vote each, for the candidate segmentation's label; a method
        that weighs votes gives them weighed.
        """
        return AtlasVotes.of_labels(atlases.labels, atlases.label_values)

    def segment(self, target: Target, atlases: AtlasSet, context: Context) -> Segmentation:
        fuse: Callable[..., Any] = self.fuse
        chosen = self.select(target, atlases)
        # a model knows the declared classes only
        decided = self.needs_training or self.judges_atlases
        voting = chosen if decided else with_classes_for_open_votes(chosen)
        given = (target, voting, context) if takes_context(fuse) else (target, voting)
        found = _segmentation(fuse(*given), voting)
        return found if voting is chosen else without_their_classes(found, chosen)


def takes_context(fuse: Callable[..., Any]) -> bool:
    """Whether a function is of (target, atlases, context), rather than of (target, atlases)."""
    parameters = inspect.signature(fuse).parameters.values()
    return len([p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]) > 2


def _segmentation(given: npt.ArrayLike | Posterior, atlases: AtlasSet) -> Segmentation:
    if isinstance(given, Posterior):
        return Segmentation(given.labels().astype(atlases.labels.dtype), given)
    answer = np.asarray(given)
    classes, grid = len(atlases.label_values), atlases.labels.shape[1:]
    beyond = (atlases.labels == UNKNOWN).any(axis=0)
    if answer.shape == grid:
        return Segmentation(np.where(beyond & (answer == UNKNOWN), np.zeros_like(answer), answer))
    if answer.shape != (classes, *grid):
        raise ValueError(
            f"fuse returned an array of shape {answer.shape}; expected a posterior {(classes, *grid)} (class, x, y, z) "
            f"or a label map {grid}"
        )
    if beyond.any():  # fewer atlases vote there, or none
        answer = answer.copy()
        answer[:, beyond] = as_shares(answer[:, beyond])
    return Segmentation(np.asarray(atlases.label_values, dtype=atlases.labels.dtype)[answer.argmax(axis=0)], answer)
