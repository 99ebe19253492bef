"""What is learned: each kind of problem draws train and test quadratics for a seed."""
