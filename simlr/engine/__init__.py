"""Computing: a block of seeds with every schedule, from problems and rates to the arrays of the run file."""
