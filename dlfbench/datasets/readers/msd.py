"""Folders of the Medical Segmentation Decathlon, also those whose images are 4D: one volume a modality."""

from dataclasses import dataclass
from pathlib import Path

from dlfbench.datasets.decathlon import read_decathlon
from dlfbench.datasets.readers.interface import Found, FoundCase, Reader, Volume


@dataclass(frozen=True)
class Msd(Reader):
    """An MSD or nnU-Net raw folder; a 4D image is split into its modalities."""

    def read(self, source: Path) -> Found:
        data = read_decathlon(source)
        cases = []
        for case in data.cases:
            if len(case.images) == 1 and len(data.modalities) > 1:
                volumes = tuple(Volume(case.images[0], channel=c) for c in range(len(data.modalities)))
            else:
                volumes = tuple(Volume(path) for path in case.images)
            assert case.reference is not None  # read_decathlon refuses a case without one
            cases.append(FoundCase(case.name, volumes, case.reference, case.columns))
        return Found(data.name, data.modalities, data.labels, tuple(cases), data.description)
