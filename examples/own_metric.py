"""A metric of one's own: the share of the reference that a prediction misses.

A package declares it, and from then on it has a column in the results and a place in the report as all others:

    [project.entry-points."dlfbench.metrics"]
    missed = "own_metric:MISSED"
"""

from dlfbench import MaskPair, Metric


def missed(pair: MaskPair) -> float:
    """1 - shared / reference, in voxels; neither mask is empty."""
    return 1 - pair.shared_vox / pair.reference_vox


MISSED = Metric(
    name="missed",
    title="Missed share",
    unit="",
    higher_is_better=False,
    definition="Share of the reference's voxels that the prediction lacks. 1 if exactly one mask is empty.",
    value=missed,
    worst=lambda pair: 1.0,
    best=0.0,
)
