file(REMOVE_RECURSE
  "CMakeFiles/test_carried.dir/tests/carried.c.o"
  "CMakeFiles/test_carried.dir/tests/carried.c.o.d"
  "tests/carried"
  "tests/carried.pdb"
)

# Per-language clean rules from dependency scanning.
foreach(lang C)
  include(CMakeFiles/test_carried.dir/cmake_clean_${lang}.cmake OPTIONAL)
endforeach()
