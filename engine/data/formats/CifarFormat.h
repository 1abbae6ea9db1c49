// CIFAR-10 and CIFAR-100 in their binary version.
//
// Source: Alex Krizhevsky, "The CIFAR-10 dataset", cs.toronto.edu/~kriz/cifar.html, section "Binary version". Records
// without a header: the label of CIFAR-10, or the coarse and then the fine label of CIFAR-100, a byte each; then 3072
// bytes: red, green and blue, each 32 rows of 32.
#pragma once

#include "engine/data/Formats.h"

namespace lockstep {

/// Files that have the names of CIFAR-10's (data_batch_1.bin …, test_batch.bin), or CIFAR-100's train.bin or test.bin
/// beside fine_label_names.txt: others are called so, too. Fields: `inputs` ([3, 32, 32] bytes) and `targets`, of
/// CIFAR-100 the fine labels; the coarse ones are `coarse`. The pictures stay in their files (FileDataset.h). `open`
/// looks at all labels; it throws InputError for one that is none, for a file that ends within a record, and for a
/// channel that holds both sets, or the training and the test batches of one: those are two channels.
Format cifar_format();

}  // namespace lockstep
