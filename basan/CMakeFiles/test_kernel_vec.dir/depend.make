# Empty dependencies file for test_kernel_vec.
# This may be replaced when dependencies are built.
