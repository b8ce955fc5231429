# Empty compiler generated dependencies file for test_borrowed.
# This may be replaced when dependencies are built.
