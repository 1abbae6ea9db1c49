// NumPy's .npy format: one array of numbers.
//
// Source: NumPy Enhancement Proposal 1 and numpy/lib/format.py (NumPy 2.2). The bytes 93 'NUMPY', the version (major
// and minor, a byte each: 1.0, 2.0 or 3.0), the length of the header (16 bits little-endian in version 1, else 32), the
// header: a Python dictionary of `descr` (the type: '<f4'), `fortran_order` and `shape`; then the elements.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/ElementType.h"
#include "engine/data/ArrayDataset.h"
#include "engine/files/InputFile.h"

namespace lockstep {

struct NpyHeader {
  ElementType type = ElementType::kFloat;
  bool big_endian = false;
  std::vector<std::int64_t> sizes;  ///< at most 32
  std::size_t bytes = 0;            ///< of the elements: below 2^48
};

/// Reads the header and stops at the elements. Throws InputError, naming the file, for one that is no .npy file, is
/// truncated or impossible, is in column-major order, or is of a type that Lockstep does not read.
NpyHeader read_npy_header(InputFile& file);

/// The whole array as the field `name`. Throws InputError also when there are more elements or fewer than the header
/// says, and for an array without dimensions.
Array read_npy(InputFile& file, const std::string& name);

}  // namespace lockstep
