# Empty compiler generated dependencies file for test_released.
# This may be replaced when dependencies are built.
