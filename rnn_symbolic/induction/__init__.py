"""Statements for every T and their proofs, as data that is checked line by line."""
