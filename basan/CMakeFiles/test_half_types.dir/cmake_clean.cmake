file(REMOVE_RECURSE
  "CMakeFiles/test_half_types.dir/tests/half_types.c.o"
  "CMakeFiles/test_half_types.dir/tests/half_types.c.o.d"
  "tests/half_types"
  "tests/half_types.pdb"
)

# Per-language clean rules from dependency scanning.
foreach(lang C)
  include(CMakeFiles/test_half_types.dir/cmake_clean_${lang}.cmake OPTIONAL)
endforeach()
