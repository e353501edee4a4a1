"""What is wrong with a loaded data set: one function a finding, and `synthsift.check.findings`, which asks them all."""
