# Empty compiler generated dependencies file for example_04_custom_op.
# This may be replaced when dependencies are built.
