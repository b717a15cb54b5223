"""Back ends: each prints a `program.Program` in one language, and builds a function of it."""
