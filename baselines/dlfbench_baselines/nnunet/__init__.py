"""nnU-Net (Isensee et al. 2021) as a method like any other. Nothing here imports nnunetv2 until a model is needed."""
