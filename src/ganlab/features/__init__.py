"""Feature extractors: metrics see images through them."""
