"""Adversarial losses: pure functions of logits, one class in one file."""
