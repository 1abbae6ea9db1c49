# Finds libtorch inside an installed PyPI wheel of `torch` and defines the target Libtorch::cpu.
#
# torch's own package (find_package(Torch)) demands a CUDA toolkit whenever the wheel was built for CUDA; this one asks
# only for headers and the two libraries that CPU training links. Where to look: LOCKSTEP_PREFIX_PATH, the virtual
# environment that docker/install.sh makes. Nothing is cached: another environment may be named at any time.
file(GLOB Libtorch_ROOT "${LOCKSTEP_PREFIX_PATH}/lib/python3*/site-packages/torch")

find_path(Libtorch_INCLUDE_DIR torch/torch.h
  PATHS ${Libtorch_ROOT}/include/torch/csrc/api/include NO_DEFAULT_PATH NO_CACHE)
find_library(Libtorch_CPU_LIBRARY torch_cpu PATHS ${Libtorch_ROOT}/lib NO_DEFAULT_PATH NO_CACHE)
find_library(Libtorch_C10_LIBRARY c10 PATHS ${Libtorch_ROOT}/lib NO_DEFAULT_PATH NO_CACHE)
find_library(Libtorch_C10_CUDA_LIBRARY c10_cuda PATHS ${Libtorch_ROOT}/lib NO_DEFAULT_PATH NO_CACHE)
find_library(Libtorch_CUDA_LIBRARY torch_cuda PATHS ${Libtorch_ROOT}/lib NO_DEFAULT_PATH NO_CACHE)
find_file(Libtorch_OPENMP_LIBRARY libgomp.so.1 PATHS ${Libtorch_ROOT}/lib NO_DEFAULT_PATH NO_CACHE)
file(GLOB Libtorch_CUDA_DIR "${Libtorch_ROOT}/../nvidia/cu[0-9]*/lib")
if(EXISTS "${Libtorch_ROOT}/version.py")
  file(STRINGS "${Libtorch_ROOT}/version.py" Libtorch_VERSION REGEX "^__version__")
  string(REGEX MATCH "[0-9]+\\.[0-9]+\\.[0-9]+" Libtorch_VERSION "${Libtorch_VERSION}")
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Libtorch
  REQUIRED_VARS Libtorch_CPU_LIBRARY Libtorch_C10_LIBRARY Libtorch_OPENMP_LIBRARY Libtorch_INCLUDE_DIR Libtorch_CUDA_DIR
  VERSION_VAR Libtorch_VERSION
  REASON_FAILURE_MESSAGE "run docker/install.sh build and pass -DLOCKSTEP_PREFIX_PATH=$(docker/install.sh prefix)")

if(Libtorch_FOUND AND NOT TARGET Libtorch::cpu)
  # torch brings its own libgomp; linking the same file keeps one OpenMP runtime, and one thread pool, in a process.
  add_library(Libtorch::openmp INTERFACE IMPORTED)
  target_compile_options(Libtorch::openmp INTERFACE -fopenmp)
  target_link_libraries(Libtorch::openmp INTERFACE ${Libtorch_OPENMP_LIBRARY})

  add_library(Libtorch::cpu INTERFACE IMPORTED)
  target_include_directories(Libtorch::cpu SYSTEM INTERFACE ${Libtorch_ROOT}/include ${Libtorch_INCLUDE_DIR})
  target_link_libraries(Libtorch::cpu INTERFACE ${Libtorch_CPU_LIBRARY} ${Libtorch_C10_LIBRARY} Libtorch::openmp)
  # libtorch_cpu.so finds libcudart and libcupti by its own RPATH; the linker needs to be told.
  target_link_options(Libtorch::cpu INTERFACE "-Wl,-rpath-link,${Libtorch_CUDA_DIR}")

  add_library(Libtorch::c10_cuda INTERFACE IMPORTED)
  target_link_libraries(Libtorch::c10_cuda INTERFACE ${Libtorch_C10_CUDA_LIBRARY} Libtorch::cpu)
  # Its own RPATH finds what it needs, at run time; linking against it does not look there.
  add_library(Libtorch::cuda INTERFACE IMPORTED)
  target_link_libraries(Libtorch::cuda INTERFACE ${Libtorch_CUDA_LIBRARY} Libtorch::c10_cuda)
  target_link_options(Libtorch::cuda INTERFACE "-Wl,--allow-shlib-undefined")
endif()
