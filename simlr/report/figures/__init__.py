"""Pictures of a run, with matplotlib."""
