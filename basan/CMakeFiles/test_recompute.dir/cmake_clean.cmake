file(REMOVE_RECURSE
  "CMakeFiles/test_recompute.dir/tests/recompute.c.o"
  "CMakeFiles/test_recompute.dir/tests/recompute.c.o.d"
  "tests/recompute"
  "tests/recompute.pdb"
)

# Per-language clean rules from dependency scanning.
foreach(lang C)
  include(CMakeFiles/test_recompute.dir/cmake_clean_${lang}.cmake OPTIONAL)
endforeach()
