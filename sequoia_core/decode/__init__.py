"""Running a pair of models: cache, drafting, verification, engine, traces."""
