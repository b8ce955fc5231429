file(REMOVE_RECURSE
  "CMakeFiles/test_engine_errors.dir/tests/engine_errors.c.o"
  "CMakeFiles/test_engine_errors.dir/tests/engine_errors.c.o.d"
  "tests/engine_errors"
  "tests/engine_errors.pdb"
)

# Per-language clean rules from dependency scanning.
foreach(lang C)
  include(CMakeFiles/test_engine_errors.dir/cmake_clean_${lang}.cmake OPTIONAL)
endforeach()
