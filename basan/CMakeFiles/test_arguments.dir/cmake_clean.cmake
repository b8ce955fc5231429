file(REMOVE_RECURSE
  "CMakeFiles/test_arguments.dir/tests/arguments.c.o"
  "CMakeFiles/test_arguments.dir/tests/arguments.c.o.d"
  "tests/arguments"
  "tests/arguments.pdb"
)

# Per-language clean rules from dependency scanning.
foreach(lang C)
  include(CMakeFiles/test_arguments.dir/cmake_clean_${lang}.cmake OPTIONAL)
endforeach()
