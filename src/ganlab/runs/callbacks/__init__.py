"""Callbacks that every run has: records, pictures, checkpoints, stopping."""
