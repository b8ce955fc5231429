file(REMOVE_RECURSE
  "CMakeFiles/bench_chain_memory.dir/bench/chain_memory.c.o"
  "CMakeFiles/bench_chain_memory.dir/bench/chain_memory.c.o.d"
  "bench/chain_memory"
  "bench/chain_memory.pdb"
)

# Per-language clean rules from dependency scanning.
foreach(lang C)
  include(CMakeFiles/bench_chain_memory.dir/cmake_clean_${lang}.cmake OPTIONAL)
endforeach()
