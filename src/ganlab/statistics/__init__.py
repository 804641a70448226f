"""Statistics of comparisons: pure functions of numbers."""
