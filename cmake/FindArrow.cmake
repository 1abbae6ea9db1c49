# Finds Apache Arrow inside an installed PyPI wheel of `pyarrow` and defines the target Arrow::parquet: its C++ libraries and headers.
#
# The wheel has neither CMake's packages nor libraries by a name without their version. Where to look: LOCKSTEP_PREFIX_PATH, the
# virtual environment that docker/install.sh makes. Nothing is cached: another environment may be named at any time.
file(GLOB Arrow_ROOT "${LOCKSTEP_PREFIX_PATH}/lib/python3*/site-packages/pyarrow")
file(GLOB Arrow_LIBRARY "${Arrow_ROOT}/libarrow.so.[0-9]*00")
file(GLOB Arrow_PARQUET_LIBRARY "${Arrow_ROOT}/libparquet.so.[0-9]*00")
find_path(Arrow_INCLUDE_DIR arrow/api.h PATHS ${Arrow_ROOT}/include NO_DEFAULT_PATH NO_CACHE)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Arrow REQUIRED_VARS Arrow_LIBRARY Arrow_PARQUET_LIBRARY Arrow_INCLUDE_DIR
  REASON_FAILURE_MESSAGE "run docker/install.sh build and pass -DLOCKSTEP_PREFIX_PATH=$(docker/install.sh prefix)")

if(Arrow_FOUND AND NOT TARGET Arrow::parquet)
  add_library(Arrow::parquet INTERFACE IMPORTED)
  target_include_directories(Arrow::parquet SYSTEM INTERFACE ${Arrow_INCLUDE_DIR})
  target_link_libraries(Arrow::parquet INTERFACE ${Arrow_PARQUET_LIBRARY} ${Arrow_LIBRARY})
endif()
