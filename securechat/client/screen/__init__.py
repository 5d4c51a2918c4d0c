"""The full-screen client: rooms on the left, talk on the right, a line of state and the input below.

Three parts that know each other in one direction. The model is what there is to show (`scrollback`, `rooms`, `model`,
`drafts`, `completion`), the rendering makes lines of it (`rendering`, `viewport`, `panels`), both without a terminal,
a thread or a clock. The application (`application`, `keys`) puts them on a terminal, and `actions` asks the server.
"""
