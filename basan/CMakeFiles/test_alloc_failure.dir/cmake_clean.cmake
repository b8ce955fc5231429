file(REMOVE_RECURSE
  "CMakeFiles/test_alloc_failure.dir/tests/alloc_failure.c.o"
  "CMakeFiles/test_alloc_failure.dir/tests/alloc_failure.c.o.d"
  "tests/alloc_failure"
  "tests/alloc_failure.pdb"
)

# Per-language clean rules from dependency scanning.
foreach(lang C)
  include(CMakeFiles/test_alloc_failure.dir/cmake_clean_${lang}.cmake OPTIONAL)
endforeach()
