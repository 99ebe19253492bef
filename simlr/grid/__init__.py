"""Running a grid or a study: `simlr.run`, and the command `python -m simlr.grid`."""
