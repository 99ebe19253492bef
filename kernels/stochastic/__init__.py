"""Noisy steps, momentum and averages: optimisers whose cells cannot be stepped axis by axis."""
