"""The context payments of the shop in a process and on a database of its own."""
