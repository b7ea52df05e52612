"""Command lines of the runtime: parse, call, print, exit codes."""
