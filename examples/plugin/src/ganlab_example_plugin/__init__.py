"""A loss, a regularizer and an experiment for ganlab, to copy from."""
