file(REMOVE_RECURSE
  "CMakeFiles/test_numbers.dir/tests/numbers.c.o"
  "CMakeFiles/test_numbers.dir/tests/numbers.c.o.d"
  "tests/numbers"
  "tests/numbers.pdb"
)

# Per-language clean rules from dependency scanning.
foreach(lang C)
  include(CMakeFiles/test_numbers.dir/cmake_clean_${lang}.cmake OPTIONAL)
endforeach()
