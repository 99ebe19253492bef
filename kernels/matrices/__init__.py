"""Products of matrices: tiles of them in registers, and the tiles of a whole product."""
