file(REMOVE_RECURSE
  "CMakeFiles/test_kernel_edges.dir/tests/kernel_edges.c.o"
  "CMakeFiles/test_kernel_edges.dir/tests/kernel_edges.c.o.d"
  "tests/kernel_edges"
  "tests/kernel_edges.pdb"
)

# Per-language clean rules from dependency scanning.
foreach(lang C)
  include(CMakeFiles/test_kernel_edges.dir/cmake_clean_${lang}.cmake OPTIONAL)
endforeach()
