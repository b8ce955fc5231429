file(REMOVE_RECURSE
  "CMakeFiles/test_hooks.dir/tests/hooks.c.o"
  "CMakeFiles/test_hooks.dir/tests/hooks.c.o.d"
  "tests/hooks"
  "tests/hooks.pdb"
)

# Per-language clean rules from dependency scanning.
foreach(lang C)
  include(CMakeFiles/test_hooks.dir/cmake_clean_${lang}.cmake OPTIONAL)
endforeach()
