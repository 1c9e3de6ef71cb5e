// Blocks are checked, not run.
