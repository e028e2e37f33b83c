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
