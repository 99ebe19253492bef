"""The compiled recurrences: arrays in, arrays out. Imported and installed as `simlr.kernels`."""
