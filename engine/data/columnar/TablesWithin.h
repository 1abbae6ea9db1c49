// Tables behind each other in one file.
#pragma once

#include <arrow/memory_pool.h>

#include <cstdint>
#include <string_view>
#include <vector>

#include "engine/data/columnar/ColumnarFile.h"

namespace lockstep {

inline constexpr std::string_view kParquetMagic = "PAR1";  ///< at the begin and the end of a file
inline constexpr std::string_view kArrowMagic = "ARROW1";  ///< at the begin and the end of a file
inline constexpr std::int64_t kArrowStart = 8;             ///< of the stream in it: behind that and two bytes

/// Where each table of a Parquet or Arrow IPC file ends, in bytes; the last one ends with the file. A file of several
/// is what a stream makes of several files (SageMaker's Pipe). Of Parquet the footers are read, of Arrow what stands
/// before each record batch. What is not intact counts with the table it stands behind or before, and is refused when
/// that is read. Throws InputError for a Parquet footer that is damaged or contradicts what stands before it, and for
/// more than 65,536 tables.
std::vector<std::uint64_t> table_ends(const RandomAccessFile& file, ColumnarKind kind, arrow::MemoryPool* pool);

}  // namespace lockstep
