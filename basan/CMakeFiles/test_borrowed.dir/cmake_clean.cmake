file(REMOVE_RECURSE
  "CMakeFiles/test_borrowed.dir/tests/borrowed.c.o"
  "CMakeFiles/test_borrowed.dir/tests/borrowed.c.o.d"
  "tests/borrowed"
  "tests/borrowed.pdb"
)

# Per-language clean rules from dependency scanning.
foreach(lang C)
  include(CMakeFiles/test_borrowed.dir/cmake_clean_${lang}.cmake OPTIONAL)
endforeach()
