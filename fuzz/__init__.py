"""Fuzzing: what strangers' bytes, and files that a hand has touched, can do to the parts that read them."""
