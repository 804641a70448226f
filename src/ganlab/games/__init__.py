"""Who plays and what each minimises."""
