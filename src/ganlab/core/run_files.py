"""Names of the files in a run folder, which rooms of several floors write and read."""

CONFIG = "config.yaml"
ENVIRONMENT = "environment.json"
METRICS = "metrics.jsonl"
MEASURED = "watch.jsonl"  # of instruments, afterwards
EVALUATION = "evaluation.jsonl"
CLASSES = "classes.json"
CHECKPOINTS = "checkpoints"
SAMPLES = "samples"
