
# Consider dependencies only in project.
set(CMAKE_DEPENDS_IN_PROJECT_ONLY OFF)

# The set of languages for which implicit dependencies are needed:
set(CMAKE_DEPENDS_LANGUAGES
  )

# The set of dependency files which are needed:
set(CMAKE_DEPENDS_DEPENDENCY_FILES
  "/tmp/w/conv8/cli/main.c" "CMakeFiles/chainrule_cli.dir/cli/main.c.o" "gcc" "CMakeFiles/chainrule_cli.dir/cli/main.c.o.d"
  "/tmp/w/conv8/cli/op_trial.c" "CMakeFiles/chainrule_cli.dir/cli/op_trial.c.o" "gcc" "CMakeFiles/chainrule_cli.dir/cli/op_trial.c.o.d"
  "/tmp/w/conv8/cli/ops.c" "CMakeFiles/chainrule_cli.dir/cli/ops.c.o" "gcc" "CMakeFiles/chainrule_cli.dir/cli/ops.c.o.d"
  "/tmp/w/conv8/cli/workloads.c" "CMakeFiles/chainrule_cli.dir/cli/workloads.c.o" "gcc" "CMakeFiles/chainrule_cli.dir/cli/workloads.c.o.d"
  )

# Targets to which this target links.
set(CMAKE_TARGET_LINKED_INFO_FILES
  "/tmp/w/conv8/basan/CMakeFiles/chainrule_static.dir/DependInfo.cmake"
  )

# Fortran module output directory.
set(CMAKE_Fortran_TARGET_MODULE_DIR "")
