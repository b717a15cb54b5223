"""Certificates: the sum over paths as a theorem that the proof checker Coq accepts, for every number of steps."""
