# Empty dependencies file for test_numbers.
# This may be replaced when dependencies are built.
