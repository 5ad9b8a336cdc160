"""A study: its tables, protocol and splits, and the study files that come with dlfbench."""
