"""Instruments: one file each, chosen as ``watch=NAME``; see `ganlab.contracts.instrument`."""
