# Empty compiler generated dependencies file for test_kernel_im2col.
# This may be replaced when dependencies are built.
