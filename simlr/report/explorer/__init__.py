"""The explorer: one page for a class, in which the run's two parameters are trained again with other settings."""
