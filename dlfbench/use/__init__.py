"""What comes after the benchmark: segmenting new images with a method of a run."""
