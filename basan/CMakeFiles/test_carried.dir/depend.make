# Empty dependencies file for test_carried.
# This may be replaced when dependencies are built.
