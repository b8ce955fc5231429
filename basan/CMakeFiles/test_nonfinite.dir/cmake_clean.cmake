file(REMOVE_RECURSE
  "CMakeFiles/test_nonfinite.dir/tests/nonfinite.c.o"
  "CMakeFiles/test_nonfinite.dir/tests/nonfinite.c.o.d"
  "tests/nonfinite"
  "tests/nonfinite.pdb"
)

# Per-language clean rules from dependency scanning.
foreach(lang C)
  include(CMakeFiles/test_nonfinite.dir/cmake_clean_${lang}.cmake OPTIONAL)
endforeach()
