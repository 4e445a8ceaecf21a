"""The gateway and all that surrounds it: log, supervision, command line."""
