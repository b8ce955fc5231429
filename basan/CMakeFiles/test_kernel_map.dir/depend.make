# Empty dependencies file for test_kernel_map.
# This may be replaced when dependencies are built.
