"""The kinds of task: what each reads, does and leaves."""
