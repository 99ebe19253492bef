"""The datasets of a study's run file."""
