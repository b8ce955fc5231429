file(REMOVE_RECURSE
  "CMakeFiles/test_leaves.dir/tests/leaves.c.o"
  "CMakeFiles/test_leaves.dir/tests/leaves.c.o.d"
  "tests/leaves"
  "tests/leaves.pdb"
)

# Per-language clean rules from dependency scanning.
foreach(lang C)
  include(CMakeFiles/test_leaves.dir/cmake_clean_${lang}.cmake OPTIONAL)
endforeach()
