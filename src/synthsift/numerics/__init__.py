"""Pure array mathematics: no records, no files, no models."""
