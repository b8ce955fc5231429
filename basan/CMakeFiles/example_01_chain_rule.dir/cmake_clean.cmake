file(REMOVE_RECURSE
  "CMakeFiles/example_01_chain_rule.dir/examples/01_chain_rule.c.o"
  "CMakeFiles/example_01_chain_rule.dir/examples/01_chain_rule.c.o.d"
  "examples/01_chain_rule"
  "examples/01_chain_rule.pdb"
)

# Per-language clean rules from dependency scanning.
foreach(lang C)
  include(CMakeFiles/example_01_chain_rule.dir/cmake_clean_${lang}.cmake OPTIONAL)
endforeach()
