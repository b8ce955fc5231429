file(REMOVE_RECURSE
  "CMakeFiles/test_op_table.dir/tests/op_table.c.o"
  "CMakeFiles/test_op_table.dir/tests/op_table.c.o.d"
  "tests/op_table"
  "tests/op_table.pdb"
)

# Per-language clean rules from dependency scanning.
foreach(lang C)
  include(CMakeFiles/test_op_table.dir/cmake_clean_${lang}.cmake OPTIONAL)
endforeach()
