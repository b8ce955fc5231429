#----------------------------------------------------------------
# Generated CMake target import file for configuration "Release".
#----------------------------------------------------------------

# Commands may need to know the format version.
set(CMAKE_IMPORT_FILE_VERSION 1)

# Import target "chainrule::chainrule" for configuration "Release"
set_property(TARGET chainrule::chainrule APPEND PROPERTY IMPORTED_CONFIGURATIONS RELEASE)
set_target_properties(chainrule::chainrule PROPERTIES
  IMPORTED_LOCATION_RELEASE "${_IMPORT_PREFIX}/lib/libchainrule.so.0.1.0"
  IMPORTED_SONAME_RELEASE "libchainrule.so.0"
  )

list(APPEND _cmake_import_check_targets chainrule::chainrule )
list(APPEND _cmake_import_check_files_for_chainrule::chainrule "${_IMPORT_PREFIX}/lib/libchainrule.so.0.1.0" )

# Import target "chainrule::static" for configuration "Release"
set_property(TARGET chainrule::static APPEND PROPERTY IMPORTED_CONFIGURATIONS RELEASE)
set_target_properties(chainrule::static PROPERTIES
  IMPORTED_LINK_INTERFACE_LANGUAGES_RELEASE "C"
  IMPORTED_LOCATION_RELEASE "${_IMPORT_PREFIX}/lib/libchainrule.a"
  )

list(APPEND _cmake_import_check_targets chainrule::static )
list(APPEND _cmake_import_check_files_for_chainrule::static "${_IMPORT_PREFIX}/lib/libchainrule.a" )

# Commands beyond this point should not need to know the version.
set(CMAKE_IMPORT_FILE_VERSION)
