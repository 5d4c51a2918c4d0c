"""Sockets and threads: the parts that carry frames between peers and the journal. `server.py` knows them all."""
