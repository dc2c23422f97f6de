"""The running node: sockets, processes, the clock, and the one place where all parts are put together."""
