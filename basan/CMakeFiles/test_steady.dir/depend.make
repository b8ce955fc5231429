# Empty dependencies file for test_steady.
# This may be replaced when dependencies are built.
