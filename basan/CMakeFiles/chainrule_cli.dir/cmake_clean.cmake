file(REMOVE_RECURSE
  "CMakeFiles/chainrule_cli.dir/cli/main.c.o"
  "CMakeFiles/chainrule_cli.dir/cli/main.c.o.d"
  "CMakeFiles/chainrule_cli.dir/cli/op_trial.c.o"
  "CMakeFiles/chainrule_cli.dir/cli/op_trial.c.o.d"
  "CMakeFiles/chainrule_cli.dir/cli/ops.c.o"
  "CMakeFiles/chainrule_cli.dir/cli/ops.c.o.d"
  "CMakeFiles/chainrule_cli.dir/cli/workloads.c.o"
  "CMakeFiles/chainrule_cli.dir/cli/workloads.c.o.d"
  "chainrule"
  "chainrule.pdb"
)

# Per-language clean rules from dependency scanning.
foreach(lang C)
  include(CMakeFiles/chainrule_cli.dir/cmake_clean_${lang}.cmake OPTIONAL)
endforeach()
