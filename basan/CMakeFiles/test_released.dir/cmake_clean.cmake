file(REMOVE_RECURSE
  "CMakeFiles/test_released.dir/tests/released.c.o"
  "CMakeFiles/test_released.dir/tests/released.c.o.d"
  "tests/released"
  "tests/released.pdb"
)

# Per-language clean rules from dependency scanning.
foreach(lang C)
  include(CMakeFiles/test_released.dir/cmake_clean_${lang}.cmake OPTIONAL)
endforeach()
