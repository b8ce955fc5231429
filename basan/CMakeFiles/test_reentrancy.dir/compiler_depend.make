# Empty compiler generated dependencies file for test_reentrancy.
# This may be replaced when dependencies are built.
