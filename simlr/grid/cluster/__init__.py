"""Computing the blocks of a grid on a Dask cluster."""
