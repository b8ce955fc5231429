# Empty compiler generated dependencies file for test_number_types.
# This may be replaced when dependencies are built.
