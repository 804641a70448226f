"""Metrics: summaries of streams of images and their features, and the scores that are made of them."""
