"""What the program can do, measured: each module is run by a script of the same name in `scripts/`."""
