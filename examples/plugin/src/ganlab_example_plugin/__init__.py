"""A loss, a regularizer, a metric and an experiment for ganlab, to copy from."""
