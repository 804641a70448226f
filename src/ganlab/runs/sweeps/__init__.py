"""Sweeps: many runs from one command line, below one folder, and what becomes of each."""
