file(REMOVE_RECURSE
  "CMakeFiles/test_steady.dir/tests/steady.c.o"
  "CMakeFiles/test_steady.dir/tests/steady.c.o.d"
  "tests/steady"
  "tests/steady.pdb"
)

# Per-language clean rules from dependency scanning.
foreach(lang C)
  include(CMakeFiles/test_steady.dir/cmake_clean_${lang}.cmake OPTIONAL)
endforeach()
