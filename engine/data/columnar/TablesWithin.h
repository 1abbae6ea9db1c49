// Tables behind each other in one file.
#pragma once

#include <arrow/memory_pool.h>
#include <parquet/metadata.h>

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "engine/data/columnar/ColumnarFile.h"

namespace lockstep {

inline constexpr std::string_view kParquetMagic = "PAR1";  ///< at the begin and the end of a file
inline constexpr std::string_view kArrowMagic = "ARROW1";  ///< at the begin and the end of a file
inline constexpr std::int64_t kArrowStart = 8;             ///< of the stream in it: behind that and two bytes

/// A table of a file, which begins where the one before ends.
struct TableWithin {
  std::uint64_t end = 0;                            ///< in bytes, from the file's begin
  std::shared_ptr<parquet::FileMetaData> footer{};  ///< of Parquet; null where nothing at the end looks like one
};

/// The tables of a Parquet or Arrow IPC file, in order; the last one ends with the file. A file of several is what a
/// stream makes of several files (SageMaker's Pipe). Of Parquet the footers are read, of Arrow what stands before each
/// record batch. What is not intact counts with the table it stands behind or before, and is refused when that is
/// read. Throws InputError for a Parquet footer that is damaged or contradicts what stands before it, and for more than
/// 65,536 tables.
std::vector<TableWithin> tables_within(const RandomAccessFile& file, ColumnarKind kind, arrow::MemoryPool* pool);

}  // namespace lockstep
