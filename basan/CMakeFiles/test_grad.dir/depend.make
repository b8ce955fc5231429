# Empty dependencies file for test_grad.
# This may be replaced when dependencies are built.
