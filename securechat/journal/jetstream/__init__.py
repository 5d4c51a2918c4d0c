"""NATS JetStream gives the order: what waits on a node is published to one stream, and every node reads it from there.

Nothing of this is imported where a server stands alone, and nothing but this imports the library.
"""
