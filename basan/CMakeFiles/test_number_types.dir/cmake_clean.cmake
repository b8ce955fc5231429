file(REMOVE_RECURSE
  "CMakeFiles/test_number_types.dir/tests/number_types.c.o"
  "CMakeFiles/test_number_types.dir/tests/number_types.c.o.d"
  "tests/number_types"
  "tests/number_types.pdb"
)

# Per-language clean rules from dependency scanning.
foreach(lang C)
  include(CMakeFiles/test_number_types.dir/cmake_clean_${lang}.cmake OPTIONAL)
endforeach()
