file(REMOVE_RECURSE
  "CMakeFiles/test_kernel_reduce.dir/tests/kernel_reduce.c.o"
  "CMakeFiles/test_kernel_reduce.dir/tests/kernel_reduce.c.o.d"
  "tests/kernel_reduce"
  "tests/kernel_reduce.pdb"
)

# Per-language clean rules from dependency scanning.
foreach(lang C)
  include(CMakeFiles/test_kernel_reduce.dir/cmake_clean_${lang}.cmake OPTIONAL)
endforeach()
