# The addon on the simulator: included by test/cuda/tests.cmake.
get_filename_component(simulated ${native}/../test/simulator ABSOLUTE)
file(GLOB simulator CONFIGURE_DEPENDS ${simulated}/*.cc)

# Everything of the addon but for the kernels, which g++ compiles, and the binding, which tells tests of the simulator.
add_library(simulator OBJECT EXCLUDE_FROM_ALL ${simulator})
target_link_libraries(simulator PRIVATE addon)
target_include_directories(simulator PRIVATE ${simulated}/..)
target_compile_options(simulator PRIVATE -O3)
target_compile_definitions(simulator PRIVATE SIMULATOR_DEVICES="${tests}/devices" SIMULATOR_CUDNN="${CUDNN_LIBRARY}"
  SIMULATOR_DRIVER="$<TARGET_FILE:driver_stand_in>")
add_library(node_cudnn_simulator MODULE EXCLUDE_FROM_ALL $<TARGET_OBJECTS:simulator>
  "$<FILTER:$<TARGET_OBJECTS:objects>,EXCLUDE,(kernels[.]cu|bind/addon[.]cc)>")
target_link_libraries(node_cudnn_simulator PRIVATE addon ${CMAKE_DL_LIBS})
add_dependencies(node_cudnn_simulator driver_stand_in)
set_target_properties(node_cudnn_simulator PROPERTIES PREFIX "" SUFFIX .node
  LIBRARY_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/tests)

# The same with a bug in one source each: tests/planted/NAME.node.
set(plantedList ${simulated}/planted_bugs.json)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${plantedList})
file(READ ${plantedList} planted)
string(JSON last LENGTH "${planted}")
math(EXPR last "${last} - 1")
add_custom_target(planted)
foreach(index RANGE ${last})
  string(JSON name GET "${planted}" ${index} name)
  string(JSON file GET "${planted}" ${index} file)
  set(source ${CMAKE_CURRENT_BINARY_DIR}/planted/${name}.cc)
  add_custom_command(OUTPUT ${source} DEPENDS ${native}/cuda/${file} ${plantedList} ${simulated}/plant.mjs
    COMMAND ${NODE_EXECUTABLE} ${simulated}/plant.mjs ${name} ${source} VERBATIM)
  if(file STREQUAL conv2d_graph.cc)
    set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS "-isystem;${CUDNN_FRONTEND_INCLUDE_DIR}")
  endif()
  add_library(planted_${name} MODULE EXCLUDE_FROM_ALL ${source} $<TARGET_OBJECTS:simulator>
    "$<FILTER:$<TARGET_OBJECTS:objects>,EXCLUDE,(kernels[.]cu|bind/addon[.]cc|/${file})>")
  target_link_libraries(planted_${name} PRIVATE addon ${CMAKE_DL_LIBS})
  # What a bug leaves out is unused.
  target_compile_options(planted_${name} PRIVATE -Wno-unused -Wno-unused-parameter)
  add_dependencies(planted_${name} driver_stand_in)
  set_target_properties(planted_${name} PROPERTIES PREFIX "" OUTPUT_NAME ${name} SUFFIX .node
    LIBRARY_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/tests/planted)
  add_dependencies(planted planted_${name})
endforeach()
