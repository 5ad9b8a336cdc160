"""What deep label fusion and the 3D U-Net share: blocks, losses, augmentation, the training loop."""
