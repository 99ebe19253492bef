"""Keeping h5py quiet about files that could not be written."""
