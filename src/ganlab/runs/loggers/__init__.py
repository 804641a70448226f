"""Where scalars and grids go beside metrics.jsonl: Lightning loggers, with the options that a run folder may hold.

A run folder may come from somebody else, so no option says where files and the user's key go, nor what else is sent
along; MLflow and Weights & Biases have environment variables for the rest.
"""
