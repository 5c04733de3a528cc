"""Does an answer depend on the slices, and how sure is it? Plain functions over `Session.ask`.

Each takes a session and a complete answer, and returns a frozen value with `to_json` and
`from_json`. Long ones take `progress` and `cancelled`. Used by window, command line, notebooks and
evaluation alike.
"""
