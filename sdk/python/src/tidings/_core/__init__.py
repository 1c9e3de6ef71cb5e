"""The client without I/O: no sockets, threads, tasks or clocks. The sync and the async client drive the same code."""
