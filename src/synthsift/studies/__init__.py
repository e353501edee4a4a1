"""What `demo` and `reproduce` run."""
