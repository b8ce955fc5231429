# Empty dependencies file for test_in_place.
# This may be replaced when dependencies are built.
