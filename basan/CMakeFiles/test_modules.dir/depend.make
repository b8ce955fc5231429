# Empty dependencies file for test_modules.
# This may be replaced when dependencies are built.
