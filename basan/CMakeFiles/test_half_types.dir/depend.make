# Empty dependencies file for test_half_types.
# This may be replaced when dependencies are built.
