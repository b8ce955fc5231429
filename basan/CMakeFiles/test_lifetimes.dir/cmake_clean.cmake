file(REMOVE_RECURSE
  "CMakeFiles/test_lifetimes.dir/tests/lifetimes.c.o"
  "CMakeFiles/test_lifetimes.dir/tests/lifetimes.c.o.d"
  "tests/lifetimes"
  "tests/lifetimes.pdb"
)

# Per-language clean rules from dependency scanning.
foreach(lang C)
  include(CMakeFiles/test_lifetimes.dir/cmake_clean_${lang}.cmake OPTIONAL)
endforeach()
