"""Dice, HD95, ASSD, surface Dice and volume error of label maps, with one rule for empty masks.

`masks` holds the kernels, `definitions` what each metric is, `known` those of plugins too, `scores` scores label maps.

The rule for empty masks: both empty, every metric is NaN (excluded from means, and counted); exactly one empty, the
metric takes its worst value, so that a missed label never vanishes from a mean. `reference_empty` and
`prediction_empty` are kept beside the values.
"""
