# Empty dependencies file for test_kernel_half.
# This may be replaced when dependencies are built.
