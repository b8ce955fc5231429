# Empty dependencies file for example_03_vanishing.
# This may be replaced when dependencies are built.
