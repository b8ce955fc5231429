file(REMOVE_RECURSE
  "CMakeFiles/test_call_sequences.dir/tests/call_sequences.c.o"
  "CMakeFiles/test_call_sequences.dir/tests/call_sequences.c.o.d"
  "tests/call_sequences"
  "tests/call_sequences.pdb"
)

# Per-language clean rules from dependency scanning.
foreach(lang C)
  include(CMakeFiles/test_call_sequences.dir/cmake_clean_${lang}.cmake OPTIONAL)
endforeach()
