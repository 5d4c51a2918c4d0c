"""Bytes to frames and back, without I/O: one vocabulary (`frames`), one file for each kind of client."""
