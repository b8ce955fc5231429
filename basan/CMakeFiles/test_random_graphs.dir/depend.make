# Empty dependencies file for test_random_graphs.
# This may be replaced when dependencies are built.
