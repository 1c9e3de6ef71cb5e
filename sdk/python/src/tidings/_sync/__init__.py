"""The client for threads: blocking calls, and a thread for each subscription."""
