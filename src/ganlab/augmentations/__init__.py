"""Augmentations of what the discriminator sees: one class in one file."""
