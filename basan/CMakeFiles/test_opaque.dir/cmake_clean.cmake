file(REMOVE_RECURSE
  "CMakeFiles/test_opaque.dir/tests/opaque.c.o"
  "CMakeFiles/test_opaque.dir/tests/opaque.c.o.d"
  "tests/opaque"
  "tests/opaque.pdb"
)

# Per-language clean rules from dependency scanning.
foreach(lang C)
  include(CMakeFiles/test_opaque.dir/cmake_clean_${lang}.cmake OPTIONAL)
endforeach()
