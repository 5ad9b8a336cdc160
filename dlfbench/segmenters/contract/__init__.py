"""The contract that every method keeps, ours and anybody's: the checks, and what runs them.

A method is run on tiny made-up images in a child process, so that a crash or a hang is a failed check.
"""
