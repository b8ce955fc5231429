file(REMOVE_RECURSE
  "CMakeFiles/test_nn.dir/tests/nn.c.o"
  "CMakeFiles/test_nn.dir/tests/nn.c.o.d"
  "tests/nn"
  "tests/nn.pdb"
)

# Per-language clean rules from dependency scanning.
foreach(lang C)
  include(CMakeFiles/test_nn.dir/cmake_clean_${lang}.cmake OPTIONAL)
endforeach()
