"""How fast simlr is on this machine, beside what one would write without it."""
