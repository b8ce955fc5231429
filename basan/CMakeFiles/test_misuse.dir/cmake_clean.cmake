file(REMOVE_RECURSE
  "CMakeFiles/test_misuse.dir/tests/misuse.c.o"
  "CMakeFiles/test_misuse.dir/tests/misuse.c.o.d"
  "tests/misuse"
  "tests/misuse.pdb"
)

# Per-language clean rules from dependency scanning.
foreach(lang C)
  include(CMakeFiles/test_misuse.dir/cmake_clean_${lang}.cmake OPTIONAL)
endforeach()
