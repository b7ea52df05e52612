"""Command lines of training: parse, call, print, exit codes."""
