"""Games: players, turns and objectives."""
