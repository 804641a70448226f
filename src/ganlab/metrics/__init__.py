"""Metrics: what each keeps of a stream of images and their features, and the scores that it makes of it."""
