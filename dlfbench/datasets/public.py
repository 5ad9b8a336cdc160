"""Public data sets that fit label fusion: what they are, their licence and citation, and how to get them."""

from dataclasses import dataclass

_MSD = (
    "Antonelli et al., The Medical Segmentation Decathlon, Nature Communications 2022; Simpson et al., arXiv:1902.09063"
)
_MSD_LICENCE = "CC-BY-SA 4.0"


@dataclass(frozen=True)
class PublicDataset:
    """A data set that anybody can have.

    Attributes:
        name: What users write.
        what: One line.
        licence: What its authors allow.
        citation: What its authors ask to cite.
        task: Its task of the Decathlon, whose address and checksum MONAI knows; empty where it is fetched by hand.
        steps: What to do by hand: where it is, and the command that takes it.
    """

    name: str
    what: str
    licence: str
    citation: str
    task: str = ""
    steps: str = ""

    @property
    def by_hand(self) -> bool:
        return not self.task


PUBLIC = {
    found.name: found
    for found in (
        PublicDataset(
            "msd-hippocampus",
            "MSD Task04 hippocampus: T1 MRI crops, anterior and posterior",
            _MSD_LICENCE,
            _MSD,
            task="Task04_Hippocampus",
        ),
        PublicDataset("msd-heart", "MSD Task02 heart: MRI, left atrium", _MSD_LICENCE, _MSD, task="Task02_Heart"),
        PublicDataset(
            "msd-prostate",
            "MSD Task05 prostate: T2 and ADC MRI (4D files, split when fetched), peripheral and transition zone",
            _MSD_LICENCE,
            _MSD,
            task="Task05_Prostate",
        ),
        PublicDataset("msd-spleen", "MSD Task09 spleen: CT", _MSD_LICENCE, _MSD, task="Task09_Spleen"),
        PublicDataset(
            "mni-hisub25",
            "hippocampal subfields of 25 healthy people, submillimetric T1 and T2 at 3 T",
            "as the archive states it",
            "Kulaga-Yoskovitz et al., Scientific Data 2:150059 (2015)",
            steps="download mri_dataset.tar.gz of doi:10.5061/dryad.gc72v, unpack it, and give patterns of its files: "
            "dlfbench data import 'folder[images=T1:..,labels=..]' UNPACKED --out FOLDER",
        ),
        PublicDataset(
            "miccai2012",
            "MICCAI 2012 Multi-Atlas Labeling Challenge: T1 of 30 people of OASIS, brain labels by Neuromorphometrics",
            "CC BY-NC; credit OASIS and Neuromorphometrics",
            "Landman and Warfield, MICCAI 2012 Workshop on Multi-Atlas Labeling; Marcus et al., J Cogn Neurosci 2007",
            steps="ask Neuromorphometrics for the challenge's images and labels, and give patterns of their files: "
            "dlfbench data import 'folder[images=T1:..,labels=..]' UNPACKED --out FOLDER",
        ),
        PublicDataset(
            "ashs",
            "atlas packages of ASHS: T2 and T1 around each hippocampus, subfields",
            "as each package states it",
            "Yushkevich et al., Human Brain Mapping 36:258 (2015), and the paper of the package",
            steps="choose a package at https://sites.google.com/view/ashs-dox/home, unpack it, then: "
            "dlfbench data import ashs PACKAGE --out FOLDER",
        ),
    )
}
