"""What a run folder is: its records, results, merging, and predictions that were made elsewhere."""
