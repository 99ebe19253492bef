"""What single papers need compiled: a two-layer network and its data, random teachers."""
