"""Feature extractors: what metrics see of an image."""
