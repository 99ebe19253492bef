"""Drawing train and test sets, and the quadratics that they make."""
