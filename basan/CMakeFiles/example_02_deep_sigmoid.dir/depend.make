# Empty dependencies file for example_02_deep_sigmoid.
# This may be replaced when dependencies are built.
