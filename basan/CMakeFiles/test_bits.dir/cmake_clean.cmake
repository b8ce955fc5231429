file(REMOVE_RECURSE
  "CMakeFiles/test_bits.dir/tests/bits.c.o"
  "CMakeFiles/test_bits.dir/tests/bits.c.o.d"
  "tests/bits"
  "tests/bits.pdb"
)

# Per-language clean rules from dependency scanning.
foreach(lang C)
  include(CMakeFiles/test_bits.dir/cmake_clean_${lang}.cmake OPTIONAL)
endforeach()
