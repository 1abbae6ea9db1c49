#include "watch/CollectiveTypes.h"

#include "common/Error.h"

namespace lockstep {

std::size_t size_of(DataType type) {
  switch (type) {
    case DataType::kFloat32:
      return 4;
    case DataType::kFloat64:
    case DataType::kInt64:
      return 8;
    case DataType::kByte:
      return 1;
  }
  throw InternalError("unknown data type");
}

const char* name_of(DataType type) {
  switch (type) {
    case DataType::kFloat32:
      return "float32";
    case DataType::kFloat64:
      return "float64";
    case DataType::kInt64:
      return "int64";
    case DataType::kByte:
      return "byte";
  }
  throw InternalError("unknown data type");
}

const char* name_of(Collective operation) {
  switch (operation) {
    case Collective::kAllReduce:
      return "all_reduce";
    case Collective::kReduceScatter:
      return "reduce_scatter";
    case Collective::kAllGather:
      return "all_gather";
    case Collective::kBroadcast:
      return "broadcast";
    case Collective::kBarrier:
      return "barrier";
  }
  throw InternalError("unknown collective");
}

}  // namespace lockstep
