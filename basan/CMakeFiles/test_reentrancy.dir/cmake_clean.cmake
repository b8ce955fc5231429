file(REMOVE_RECURSE
  "CMakeFiles/test_reentrancy.dir/tests/reentrancy.c.o"
  "CMakeFiles/test_reentrancy.dir/tests/reentrancy.c.o.d"
  "tests/reentrancy"
  "tests/reentrancy.pdb"
)

# Per-language clean rules from dependency scanning.
foreach(lang C)
  include(CMakeFiles/test_reentrancy.dir/cmake_clean_${lang}.cmake OPTIONAL)
endforeach()
