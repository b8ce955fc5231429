# Empty dependencies file for test_locale.
# This may be replaced when dependencies are built.
