file(REMOVE_RECURSE
  "libchainrule.a"
  "libchainrule.pdb"
)

# Per-language clean rules from dependency scanning.
foreach(lang C)
  include(CMakeFiles/chainrule_static.dir/cmake_clean_${lang}.cmake OPTIONAL)
endforeach()
