file(REMOVE_RECURSE
  "CMakeFiles/test_op_errors.dir/tests/op_errors.c.o"
  "CMakeFiles/test_op_errors.dir/tests/op_errors.c.o.d"
  "tests/op_errors"
  "tests/op_errors.pdb"
)

# Per-language clean rules from dependency scanning.
foreach(lang C)
  include(CMakeFiles/test_op_errors.dir/cmake_clean_${lang}.cmake OPTIONAL)
endforeach()
