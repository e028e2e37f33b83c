# What the tests of this folder run, built when they ask for it: included by native/cuda/CMakeLists.txt.
get_filename_component(tests ${native}/../test/cuda ABSOLUTE)

# A libcuda.so.1 for machines without a driver.
set(driver ${CMAKE_CURRENT_BINARY_DIR}/driver_stand_in.c)
add_custom_command(OUTPUT ${driver} DEPENDS ${tests}/driver_stand_in.mjs
  COMMAND ${NODE_EXECUTABLE} ${tests}/driver_stand_in.mjs ${CUDAToolkit_INCLUDE_DIRS} ${driver} VERBATIM)
add_library(driver_stand_in MODULE EXCLUDE_FROM_ALL ${driver})
set_target_properties(driver_stand_in PROPERTIES PREFIX "" LIBRARY_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/tests)
target_link_options(driver_stand_in PRIVATE -Wl,-soname,libcuda.so.1)

# The planning of convolutions, and descriptors: nothing that needs a device.
add_executable(plans EXCLUDE_FROM_ALL ${tests}/plans.cc
  "$<FILTER:$<TARGET_OBJECTS:objects>,INCLUDE,(conv2d_graph|libraries|error)[.]cc>")
target_link_libraries(plans PRIVATE ours CUDA::cudart_static CUDA::cublas ${CUDNN_LIBRARY} ${CMAKE_DL_LIBS})
target_link_options(plans PRIVATE -Wl,--disable-new-dtags)
set_target_properties(plans PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/tests)

# An addon that lacks the optimizers' steps.
add_library(node_cudnn_incomplete MODULE EXCLUDE_FROM_ALL "$<FILTER:$<TARGET_OBJECTS:objects>,EXCLUDE,optim[.]cc>")
target_link_libraries(node_cudnn_incomplete PRIVATE addon CUDA::cudart_static CUDA::cublas ${CUDNN_LIBRARY})
set_target_properties(node_cudnn_incomplete PROPERTIES PREFIX "" SUFFIX .node
  LIBRARY_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/tests)

include(${native}/../test/simulator/simulator.cmake)
include(${native}/../test/simulator/checks/checks.cmake)
