file(REMOVE_RECURSE
  "CMakeFiles/test_gradcheck.dir/tests/gradcheck.c.o"
  "CMakeFiles/test_gradcheck.dir/tests/gradcheck.c.o.d"
  "tests/gradcheck"
  "tests/gradcheck.pdb"
)

# Per-language clean rules from dependency scanning.
foreach(lang C)
  include(CMakeFiles/test_gradcheck.dir/cmake_clean_${lang}.cmake OPTIONAL)
endforeach()
