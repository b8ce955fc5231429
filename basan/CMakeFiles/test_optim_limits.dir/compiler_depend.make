# Empty compiler generated dependencies file for test_optim_limits.
# This may be replaced when dependencies are built.
