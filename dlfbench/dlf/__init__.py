"""Deep label fusion (Xie et al. 2023): weights for the votes of atlases from one network, refined by another."""
