file(REMOVE_RECURSE
  "CMakeFiles/test_engine.dir/tests/engine.c.o"
  "CMakeFiles/test_engine.dir/tests/engine.c.o.d"
  "tests/engine"
  "tests/engine.pdb"
)

# Per-language clean rules from dependency scanning.
foreach(lang C)
  include(CMakeFiles/test_engine.dir/cmake_clean_${lang}.cmake OPTIONAL)
endforeach()
