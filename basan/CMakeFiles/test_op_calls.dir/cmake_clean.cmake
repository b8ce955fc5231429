file(REMOVE_RECURSE
  "CMakeFiles/test_op_calls.dir/tests/op_calls.c.o"
  "CMakeFiles/test_op_calls.dir/tests/op_calls.c.o.d"
  "tests/op_calls"
  "tests/op_calls.pdb"
)

# Per-language clean rules from dependency scanning.
foreach(lang C)
  include(CMakeFiles/test_op_calls.dir/cmake_clean_${lang}.cmake OPTIONAL)
endforeach()
