# Empty dependencies file for test_leaves.
# This may be replaced when dependencies are built.
