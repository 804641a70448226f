"""The guard: it notices a run that fails, and ends it or takes it back."""
