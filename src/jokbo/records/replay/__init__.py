"""Running the model of a record again; the only code of the package that uses PyTorch."""
