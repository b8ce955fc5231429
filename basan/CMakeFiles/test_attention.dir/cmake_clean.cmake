file(REMOVE_RECURSE
  "CMakeFiles/test_attention.dir/tests/attention.c.o"
  "CMakeFiles/test_attention.dir/tests/attention.c.o.d"
  "tests/attention"
  "tests/attention.pdb"
)

# Per-language clean rules from dependency scanning.
foreach(lang C)
  include(CMakeFiles/test_attention.dir/cmake_clean_${lang}.cmake OPTIONAL)
endforeach()
