"""Ways of choosing data that need no meta-learning; one family a file, one contract."""
