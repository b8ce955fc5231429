# Empty dependencies file for test_kernel_math.
# This may be replaced when dependencies are built.
