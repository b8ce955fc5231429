# Empty compiler generated dependencies file for test_nonfinite.
# This may be replaced when dependencies are built.
