file(REMOVE_RECURSE
  "CMakeFiles/test_system_calls.dir/tests/system_calls.c.o"
  "CMakeFiles/test_system_calls.dir/tests/system_calls.c.o.d"
  "tests/system_calls"
  "tests/system_calls.pdb"
)

# Per-language clean rules from dependency scanning.
foreach(lang C)
  include(CMakeFiles/test_system_calls.dir/cmake_clean_${lang}.cmake OPTIONAL)
endforeach()
