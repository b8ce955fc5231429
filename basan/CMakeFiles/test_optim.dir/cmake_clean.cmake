file(REMOVE_RECURSE
  "CMakeFiles/test_optim.dir/tests/optim.c.o"
  "CMakeFiles/test_optim.dir/tests/optim.c.o.d"
  "tests/optim"
  "tests/optim.pdb"
)

# Per-language clean rules from dependency scanning.
foreach(lang C)
  include(CMakeFiles/test_optim.dir/cmake_clean_${lang}.cmake OPTIONAL)
endforeach()
