"""Files to records, and toy worlds whose right answer is known."""
