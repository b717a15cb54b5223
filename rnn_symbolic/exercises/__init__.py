"""Exercises: a derivation with blanks, one with a spoiled line, or an example in numbers, each with a verified key."""
