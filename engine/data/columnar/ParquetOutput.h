// Parquet files being written.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <vector>

#include "engine/data/table/TableOutput.h"

namespace lockstep {

using MakeTableOutput =
    std::function<std::unique_ptr<TableOutput>(const std::filesystem::path&, const std::vector<OutputColumn>&)>;

/// Loads what makes them, lockstep-arrow.so: call this before the time when there is something to write. Rows become
/// row groups of up to 4 Mi numbers, compressed by Snappy, of columns that have a value in each row. Throws InputError
/// when it cannot be loaded.
MakeTableOutput parquet_output();

}  // namespace lockstep

/// What lockstep-arrow.so offers.
extern "C" void lockstep_create_parquet_file(const std::filesystem::path& path,
                                             const std::vector<lockstep::OutputColumn>& columns,
                                             std::unique_ptr<lockstep::TableOutput>& created);
