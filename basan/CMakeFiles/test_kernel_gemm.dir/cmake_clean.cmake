file(REMOVE_RECURSE
  "CMakeFiles/test_kernel_gemm.dir/tests/kernel_gemm.c.o"
  "CMakeFiles/test_kernel_gemm.dir/tests/kernel_gemm.c.o.d"
  "tests/kernel_gemm"
  "tests/kernel_gemm.pdb"
)

# Per-language clean rules from dependency scanning.
foreach(lang C)
  include(CMakeFiles/test_kernel_gemm.dir/cmake_clean_${lang}.cmake OPTIONAL)
endforeach()
