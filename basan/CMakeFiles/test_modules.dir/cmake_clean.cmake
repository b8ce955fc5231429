file(REMOVE_RECURSE
  "CMakeFiles/test_modules.dir/tests/modules.c.o"
  "CMakeFiles/test_modules.dir/tests/modules.c.o.d"
  "tests/modules"
  "tests/modules.pdb"
)

# Per-language clean rules from dependency scanning.
foreach(lang C)
  include(CMakeFiles/test_modules.dir/cmake_clean_${lang}.cmake OPTIONAL)
endforeach()
