file(REMOVE_RECURSE
  "CMakeFiles/test_fp_state.dir/tests/fp_state.c.o"
  "CMakeFiles/test_fp_state.dir/tests/fp_state.c.o.d"
  "tests/fp_state"
  "tests/fp_state.pdb"
)

# Per-language clean rules from dependency scanning.
foreach(lang C)
  include(CMakeFiles/test_fp_state.dir/cmake_clean_${lang}.cmake OPTIONAL)
endforeach()
