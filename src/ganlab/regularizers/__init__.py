"""Regularizers: one class in one file."""
