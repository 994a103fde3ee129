"""The planner against a plain transcription of its recurrence; `make bench-plan` runs it."""
