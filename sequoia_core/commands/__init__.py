"""The commands of `python -m sequoia_core`, one module each."""
