# Empty compiler generated dependencies file for test_golden_ops.
# This may be replaced when dependencies are built.
