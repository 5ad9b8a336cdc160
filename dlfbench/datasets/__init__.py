"""Cases and datasets, readers of every layout, checks, and known changes of images."""
