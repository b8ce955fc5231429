file(REMOVE_RECURSE
  "libchainrule.pdb"
  "libchainrule.so"
  "libchainrule.so.0"
  "libchainrule.so.0.1.0"
)

# Per-language clean rules from dependency scanning.
foreach(lang C)
  include(CMakeFiles/chainrule_shared.dir/cmake_clean_${lang}.cmake OPTIONAL)
endforeach()
