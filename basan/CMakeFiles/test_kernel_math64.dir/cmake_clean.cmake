file(REMOVE_RECURSE
  "CMakeFiles/test_kernel_math64.dir/tests/kernel_math64.c.o"
  "CMakeFiles/test_kernel_math64.dir/tests/kernel_math64.c.o.d"
  "tests/kernel_math64"
  "tests/kernel_math64.pdb"
)

# Per-language clean rules from dependency scanning.
foreach(lang C)
  include(CMakeFiles/test_kernel_math64.dir/cmake_clean_${lang}.cmake OPTIONAL)
endforeach()
