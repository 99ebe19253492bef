"""Schedules, problems and papers of somebody's own: from a Python file that a grid names, or an installed package.

`kinds` is what a grid's kind then is, `loading` runs files and finds packages, `recorded` says what a run file has of
them. A run file never has code run: what it names is used only where this process has run the very same source.
"""
