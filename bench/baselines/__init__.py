"""Two small servers to compare with; programs of their own, started by their file names."""
