# Empty dependencies file for test_kernel_edges.
# This may be replaced when dependencies are built.
