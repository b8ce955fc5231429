file(REMOVE_RECURSE
  "CMakeFiles/test_kernel_math.dir/tests/kernel_math.c.o"
  "CMakeFiles/test_kernel_math.dir/tests/kernel_math.c.o.d"
  "tests/kernel_math"
  "tests/kernel_math.pdb"
)

# Per-language clean rules from dependency scanning.
foreach(lang C)
  include(CMakeFiles/test_kernel_math.dir/cmake_clean_${lang}.cmake OPTIONAL)
endforeach()
