file(REMOVE_RECURSE
  "CMakeFiles/test_limits.dir/tests/limits.c.o"
  "CMakeFiles/test_limits.dir/tests/limits.c.o.d"
  "tests/limits"
  "tests/limits.pdb"
)

# Per-language clean rules from dependency scanning.
foreach(lang C)
  include(CMakeFiles/test_limits.dir/cmake_clean_${lang}.cmake OPTIONAL)
endforeach()
