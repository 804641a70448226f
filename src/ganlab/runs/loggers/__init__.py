"""Lightning loggers for scalars and grids, in addition to metrics.jsonl.

A run folder may come from somebody else, so no option sets the folder, the user's key or other data to send; MLflow and
Weights & Biases have environment variables for these.
"""
