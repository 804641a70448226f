"""The adversary as an object, for a loop of one's own."""
