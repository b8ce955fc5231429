file(REMOVE_RECURSE
  "CMakeFiles/test_memory.dir/tests/memory.c.o"
  "CMakeFiles/test_memory.dir/tests/memory.c.o.d"
  "tests/memory"
  "tests/memory.pdb"
)

# Per-language clean rules from dependency scanning.
foreach(lang C)
  include(CMakeFiles/test_memory.dir/cmake_clean_${lang}.cmake OPTIONAL)
endforeach()
