# Empty dependencies file for test_lifetimes.
# This may be replaced when dependencies are built.
