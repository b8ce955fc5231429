# Empty compiler generated dependencies file for test_alloc_failure.
# This may be replaced when dependencies are built.
