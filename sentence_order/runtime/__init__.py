"""The machine that the program runs on: device and precision, processes, files, signals, the console."""
