file(REMOVE_RECURSE
  "CMakeFiles/test_grad.dir/tests/grad.c.o"
  "CMakeFiles/test_grad.dir/tests/grad.c.o.d"
  "tests/grad"
  "tests/grad.pdb"
)

# Per-language clean rules from dependency scanning.
foreach(lang C)
  include(CMakeFiles/test_grad.dir/cmake_clean_${lang}.cmake OPTIONAL)
endforeach()
