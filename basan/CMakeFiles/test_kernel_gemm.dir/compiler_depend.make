# Empty compiler generated dependencies file for test_kernel_gemm.
# This may be replaced when dependencies are built.
