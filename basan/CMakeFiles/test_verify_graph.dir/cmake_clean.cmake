file(REMOVE_RECURSE
  "CMakeFiles/test_verify_graph.dir/tests/verify_graph.c.o"
  "CMakeFiles/test_verify_graph.dir/tests/verify_graph.c.o.d"
  "tests/verify_graph"
  "tests/verify_graph.pdb"
)

# Per-language clean rules from dependency scanning.
foreach(lang C)
  include(CMakeFiles/test_verify_graph.dir/cmake_clean_${lang}.cmake OPTIONAL)
endforeach()
