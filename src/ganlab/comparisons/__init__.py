"""Comparisons of runs: which configuration is better, and how sure."""
