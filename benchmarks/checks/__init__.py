"""The checks of `benchmarks.cuda`: what a device must do right, each a function of a `Setup` and a `Report`."""
