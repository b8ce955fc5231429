file(REMOVE_RECURSE
  "CMakeFiles/test_random_graphs.dir/tests/random_graphs.c.o"
  "CMakeFiles/test_random_graphs.dir/tests/random_graphs.c.o.d"
  "tests/random_graphs"
  "tests/random_graphs.pdb"
)

# Per-language clean rules from dependency scanning.
foreach(lang C)
  include(CMakeFiles/test_random_graphs.dir/cmake_clean_${lang}.cmake OPTIONAL)
endforeach()
