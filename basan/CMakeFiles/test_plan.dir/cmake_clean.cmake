file(REMOVE_RECURSE
  "CMakeFiles/test_plan.dir/cli/workloads.c.o"
  "CMakeFiles/test_plan.dir/cli/workloads.c.o.d"
  "CMakeFiles/test_plan.dir/tests/plan.c.o"
  "CMakeFiles/test_plan.dir/tests/plan.c.o.d"
  "tests/plan"
  "tests/plan.pdb"
)

# Per-language clean rules from dependency scanning.
foreach(lang C)
  include(CMakeFiles/test_plan.dir/cmake_clean_${lang}.cmake OPTIONAL)
endforeach()
