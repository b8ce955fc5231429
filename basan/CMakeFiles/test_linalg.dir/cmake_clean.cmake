file(REMOVE_RECURSE
  "CMakeFiles/test_linalg.dir/tests/linalg.c.o"
  "CMakeFiles/test_linalg.dir/tests/linalg.c.o.d"
  "tests/linalg"
  "tests/linalg.pdb"
)

# Per-language clean rules from dependency scanning.
foreach(lang C)
  include(CMakeFiles/test_linalg.dir/cmake_clean_${lang}.cmake OPTIONAL)
endforeach()
