file(REMOVE_RECURSE
  "CMakeFiles/test_golden_ops.dir/tests/golden_ops.c.o"
  "CMakeFiles/test_golden_ops.dir/tests/golden_ops.c.o.d"
  "tests/golden_ops"
  "tests/golden_ops.pdb"
)

# Per-language clean rules from dependency scanning.
foreach(lang C)
  include(CMakeFiles/test_golden_ops.dir/cmake_clean_${lang}.cmake OPTIONAL)
endforeach()
