"""The dynamics of small games: which converge, by theory and by trajectory."""
