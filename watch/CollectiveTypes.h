// What collectives move, and what they do with it.
#pragma once

#include <cstddef>

namespace lockstep {

enum class DataType { kFloat32, kFloat64, kInt64, kByte };
enum class ReduceOp { kSum, kMax };
enum class Collective { kAllReduce, kReduceScatter, kAllGather, kBroadcast, kBarrier };

std::size_t size_of(DataType type);
/// As errors write it: "float32".
const char* name_of(DataType type);
/// As errors write it: "all_reduce".
const char* name_of(Collective operation);

}  // namespace lockstep
