file(REMOVE_RECURSE
  "CMakeFiles/bench_peer.dir/bench/peer.c.o"
  "CMakeFiles/bench_peer.dir/bench/peer.c.o.d"
  "bench/peer"
  "bench/peer.pdb"
)

# Per-language clean rules from dependency scanning.
foreach(lang C)
  include(CMakeFiles/bench_peer.dir/cmake_clean_${lang}.cmake OPTIONAL)
endforeach()
