"""A run in a notebook or a script: its words, its pictures, its report; what `simlr.run` and `simlr.load` give."""
