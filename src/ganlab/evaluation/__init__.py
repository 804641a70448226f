"""Evaluation: one pass over generated and real images, every metric, a protocol on every score."""
