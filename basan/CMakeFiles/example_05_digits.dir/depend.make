# Empty dependencies file for example_05_digits.
# This may be replaced when dependencies are built.
