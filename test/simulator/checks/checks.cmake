# Parts of the simulator by themselves: included by test/cuda/tests.cmake, behind simulator.cmake.
set(checks ${simulated}/checks)

# Production's convolutions on the simulator's cuDNN.
set(graph cudnn_graph.cc descriptors.cc interpret.cc execution.cc operation_graph.cc convolution.cc)
list(TRANSFORM graph PREPEND ${simulated}/)
add_executable(graph_check EXCLUDE_FROM_ALL ${checks}/graph_check.cc ${graph}
  "$<FILTER:$<TARGET_OBJECTS:objects>,INCLUDE,(conv2d_graph|error)[.]cc>")
target_include_directories(graph_check PRIVATE ${simulated}/..)
target_compile_options(graph_check PRIVATE -O3)
target_compile_definitions(graph_check PRIVATE SIMULATOR_CUDNN="${CUDNN_LIBRARY}"
  SIMULATOR_DRIVER="$<TARGET_FILE:driver_stand_in>")
add_dependencies(graph_check driver_stand_in)
# Of cudart there are in graph_check what cudnn-frontend needs to succeed.
target_link_libraries(graph_check PRIVATE ours CUDA::cudart_static ${CMAKE_DL_LIBS})
target_link_options(graph_check PRIVATE -Wl,--allow-multiple-definition)
set_target_properties(graph_check PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/tests)

# What nvcc made of the kernels' launches.
add_executable(launches EXCLUDE_FROM_ALL ${checks}/launches.cc
  "$<FILTER:$<TARGET_OBJECTS:objects>,INCLUDE,(kernels[.]cu|error[.]cc)>")
target_link_libraries(launches PRIVATE ours)
set_target_properties(launches PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/tests)

# The simulator's rules, broken one by one.
add_executable(strict EXCLUDE_FROM_ALL ${checks}/strict.cc
  "$<FILTER:$<TARGET_OBJECTS:simulator>,EXCLUDE,(/addon|cudnn_graph|descriptors|interpret|execution|operation_graph|convolution)[.]cc>"
  "$<FILTER:$<TARGET_OBJECTS:objects>,INCLUDE,/error[.]cc>")
target_include_directories(strict PRIVATE ${simulated}/..)
target_link_libraries(strict PRIVATE ours ${CMAKE_DL_LIBS})
set_target_properties(strict PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/tests)

# The rules of the stand-ins for cuBLAS and cuDNN.
add_executable(stand_ins EXCLUDE_FROM_ALL ${checks}/stand_ins.cc
  "$<FILTER:$<TARGET_OBJECTS:simulator>,EXCLUDE,/addon[.]cc>"
  "$<FILTER:$<TARGET_OBJECTS:objects>,INCLUDE,/(error|libraries)[.]cc>")
target_include_directories(stand_ins PRIVATE ${simulated}/..)
target_link_libraries(stand_ins PRIVATE ours ${CMAKE_DL_LIBS})
add_dependencies(stand_ins driver_stand_in)
set_target_properties(stand_ins PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/tests)
