file(REMOVE_RECURSE
  "CMakeFiles/test_kernel_half.dir/tests/kernel_half.c.o"
  "CMakeFiles/test_kernel_half.dir/tests/kernel_half.c.o.d"
  "tests/kernel_half"
  "tests/kernel_half.pdb"
)

# Per-language clean rules from dependency scanning.
foreach(lang C)
  include(CMakeFiles/test_kernel_half.dir/cmake_clean_${lang}.cmake OPTIONAL)
endforeach()
