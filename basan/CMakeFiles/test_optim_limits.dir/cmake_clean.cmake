file(REMOVE_RECURSE
  "CMakeFiles/test_optim_limits.dir/tests/optim_limits.c.o"
  "CMakeFiles/test_optim_limits.dir/tests/optim_limits.c.o.d"
  "tests/optim_limits"
  "tests/optim_limits.pdb"
)

# Per-language clean rules from dependency scanning.
foreach(lang C)
  include(CMakeFiles/test_optim_limits.dir/cmake_clean_${lang}.cmake OPTIONAL)
endforeach()
