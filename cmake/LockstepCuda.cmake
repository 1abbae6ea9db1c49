# Compiles CUDA sources by nvcc, without CMake's CUDA language: its checks want a whole toolkit, while the compiler from PyPI
# (docker/install.sh full) and the runtime library of the torch wheel are enough.
#
# LOCKSTEP_CUDA says whether there is an nvcc, beside the wheel or on PATH, and NCCL beside the wheel, as docker/install.sh gpu
# has it: with it come all that PyTorch needs on a GPU. Without them everything is built but what computes on GPUs.
file(GLOB wheel "${LOCKSTEP_PREFIX_PATH}/lib/python3*/site-packages/nvidia/cu13")
if(wheel)
  list(GET wheel 0 wheel)
endif()
find_program(NVCC nvcc PATHS ${wheel}/bin NO_DEFAULT_PATH NO_CACHE)
if(NOT NVCC)
  find_program(NVCC nvcc NO_CACHE)
endif()
find_path(NCCL_INCLUDE_DIR nccl.h PATHS ${wheel}/../nccl/include NO_DEFAULT_PATH NO_CACHE)
if(NVCC AND NCCL_INCLUDE_DIR)
  set(LOCKSTEP_CUDA ON)
else()
  set(LOCKSTEP_CUDA OFF)
endif()
set(LOCKSTEP_CUDA_ARCHITECTURES "80;90" CACHE STRING "Compute capabilities to compile for; PTX of the last is added for newer cards")
set(LOCKSTEP_CUDA_INCLUDE_DIR ${wheel}/include)

if(LOCKSTEP_CUDA)
  execute_process(COMMAND ${NVCC} --version OUTPUT_VARIABLE nvcc_version)
  string(REGEX MATCH "V[0-9.]+" nvcc_version "${nvcc_version}")
  message(STATUS "CUDA: ${NVCC} ${nvcc_version} for ${LOCKSTEP_CUDA_ARCHITECTURES}")
  file(GLOB cudart "${wheel}/lib/libcudart.so.*")
  if(NOT cudart)
    message(FATAL_ERROR "no libcudart beside ${NVCC}'s headers in ${wheel}: run docker/install.sh full")
  endif()
  add_library(lockstep_cudart INTERFACE)
  target_include_directories(lockstep_cudart SYSTEM INTERFACE ${LOCKSTEP_CUDA_INCLUDE_DIR})
  target_link_libraries(lockstep_cudart INTERFACE ${cudart})
  # NCCL is loaded when GPUs train, from beside the header unless the loader knows another.
  add_library(lockstep_nccl_headers INTERFACE)
  target_include_directories(lockstep_nccl_headers SYSTEM INTERFACE ${NCCL_INCLUDE_DIR})
  get_filename_component(nccl ${NCCL_INCLUDE_DIR}/../lib ABSOLUTE)
  list(APPEND CMAKE_BUILD_RPATH ${nccl})
elseif(LOCKSTEP_TESTS)
  message(FATAL_ERROR "the tests need nvcc and NCCL: run docker/install.sh full")
else()
  message(STATUS "CUDA: for CPUs only; docker/install.sh gpu installs what GPUs take")
endif()

# lockstep_cuda_library(NAME SOURCES file.cu...)
#
# Beside each object lies what ptxas says of its kernels, file.cu.report; spilled registers are an error.
function(lockstep_cuda_library NAME)
  cmake_parse_arguments(ARG "" "" "SOURCES" ${ARGN})
  set(flags -std=c++20 -O3 -DNDEBUG --expt-relaxed-constexpr -Xcompiler -fPIC,-Wall,-Wextra -Werror all-warnings
    -I${PROJECT_SOURCE_DIR} -I${LOCKSTEP_CUDA_INCLUDE_DIR})
  foreach(architecture ${LOCKSTEP_CUDA_ARCHITECTURES})
    list(APPEND flags -gencode arch=compute_${architecture},code=sm_${architecture})
  endforeach()
  list(GET LOCKSTEP_CUDA_ARCHITECTURES -1 newest)
  list(APPEND flags -gencode arch=compute_${newest},code=compute_${newest})
  foreach(source ${ARG_SOURCES})
    set(object ${CMAKE_CURRENT_BINARY_DIR}/${source}.o)
    get_filename_component(folder ${object} DIRECTORY)
    file(MAKE_DIRECTORY ${folder})
    add_custom_command(OUTPUT ${object} BYPRODUCTS ${object}.report DEPFILE ${object}.d
      COMMAND ${PROJECT_SOURCE_DIR}/cmake/compile-cuda ${object} ${NVCC} ${flags} -MD -MF ${object}.d
              -c ${CMAKE_CURRENT_SOURCE_DIR}/${source} -o ${object}
      DEPENDS ${source} ${PROJECT_SOURCE_DIR}/cmake/compile-cuda COMMENT "Building CUDA object ${source}.o" VERBATIM)
    list(APPEND objects ${object})
  endforeach()
  add_library(${NAME} STATIC ${objects})
  set_target_properties(${NAME} PROPERTIES LINKER_LANGUAGE CXX)
  target_link_libraries(${NAME} PUBLIC lockstep_options lockstep_cudart)
endfunction()
