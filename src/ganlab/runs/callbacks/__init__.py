"""What happens around training: records, pictures, checkpoints, stopping."""
