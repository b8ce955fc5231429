# Empty dependencies file for test_opaque.
# This may be replaced when dependencies are built.
