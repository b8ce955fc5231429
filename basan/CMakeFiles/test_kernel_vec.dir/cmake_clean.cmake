file(REMOVE_RECURSE
  "CMakeFiles/test_kernel_vec.dir/tests/kernel_vec.c.o"
  "CMakeFiles/test_kernel_vec.dir/tests/kernel_vec.c.o.d"
  "tests/kernel_vec"
  "tests/kernel_vec.pdb"
)

# Per-language clean rules from dependency scanning.
foreach(lang C)
  include(CMakeFiles/test_kernel_vec.dir/cmake_clean_${lang}.cmake OPTIONAL)
endforeach()
