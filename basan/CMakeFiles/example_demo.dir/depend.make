# Empty dependencies file for example_demo.
# This may be replaced when dependencies are built.
