# Empty compiler generated dependencies file for test_hooks.
# This may be replaced when dependencies are built.
