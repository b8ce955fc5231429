file(REMOVE_RECURSE
  "CMakeFiles/test_kernel_map.dir/tests/kernel_map.c.o"
  "CMakeFiles/test_kernel_map.dir/tests/kernel_map.c.o.d"
  "tests/kernel_map"
  "tests/kernel_map.pdb"
)

# Per-language clean rules from dependency scanning.
foreach(lang C)
  include(CMakeFiles/test_kernel_map.dir/cmake_clean_${lang}.cmake OPTIONAL)
endforeach()
