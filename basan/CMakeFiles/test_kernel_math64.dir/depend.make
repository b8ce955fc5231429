# Empty dependencies file for test_kernel_math64.
# This may be replaced when dependencies are built.
